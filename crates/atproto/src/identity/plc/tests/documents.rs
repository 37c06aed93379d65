use serde_json::json;

use super::*;
use crate::identity::did_doc::DidDocument;

#[test]
fn a_did_document_has_the_shape_of_the_directory_s() {
    let op = genesis(&[0, 1]).sign(&key(0));
    let did = op.did_of_genesis();
    let key = key(99).public();
    let document = render_did_doc(&did, &DidData::of(&op).unwrap());
    assert_eq!(
        document,
        json!({
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/multikey/v1",
                "https://w3id.org/security/suites/ecdsa-2019/v1",
            ],
            "id": did,
            "alsoKnownAs": ["at://alice.test"],
            "verificationMethod": [{
                "id": format!("{did}#atproto"),
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": key.to_multikey(),
            }],
            "service": [{
                "id": "#atproto_pds",
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": "https://pds.example.com",
            }],
        })
    );

    let read = DidDocument::from_value(document).unwrap();
    assert_eq!(*read.id(), did);
    assert_eq!(read.signing_key(), Some(key));
    assert_eq!(read.pds_endpoint(), Some("https://pds.example.com"));
    assert_eq!(read.handle().unwrap().as_str(), "alice.test");
}

#[test]
fn each_known_type_of_key_adds_its_context_once_in_order() {
    let ed25519 = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    let keys = did_keys(&[0, 2, 1]);
    let data = DidData {
        rotation_keys: Vec::new(),
        verification_methods: [
            ("zz".to_owned(), keys[0].clone()),
            ("aaaa".to_owned(), keys[2].clone()),
            ("bbb".to_owned(), keys[1].clone()),
            ("a".to_owned(), ed25519.to_owned()),
        ]
        .into(),
        also_known_as: Vec::new(),
        services: [].into(),
    };
    let did = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let document = render_did_doc(&did, &data);
    assert_eq!(
        document["@context"],
        json!([
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/multikey/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1",
            "https://w3id.org/security/suites/ecdsa-2019/v1",
        ])
    );
    let ids: Vec<&str> = document["verificationMethod"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| method["id"].as_str().unwrap().split_once('#').unwrap().1)
        .collect();
    assert_eq!(ids, ["a", "zz", "bbb", "aaaa"], "shorter names first");
    assert_eq!(
        document["verificationMethod"][0]["publicKeyMultibase"],
        ed25519.strip_prefix("did:key:").unwrap()
    );
    assert_eq!(document["verificationMethod"][0]["type"], "Multikey");
    assert_eq!(document["service"], json!([]));
}

#[test]
fn the_data_of_a_did_names_it() {
    let op = genesis(&[0]).sign(&key(0));
    let did = op.did_of_genesis();
    let data = DidData::of(&op).unwrap().to_json(&did);
    assert_eq!(data["did"], json!(did));
    for field in ["verificationMethods", "rotationKeys", "alsoKnownAs", "services"] {
        assert_eq!(data[field], op.to_json()[field], "{field}");
    }
    assert_eq!(data.as_object().unwrap().len(), 5);
}

#[test]
fn times_are_shown_in_milliseconds() {
    let op = genesis(&[0]).sign(&key(0));
    let mut entry = LogEntry {
        did: op.did_of_genesis(),
        cid: op.cid(),
        operation: op,
        nullified: false,
        created_at_micros: 1_753_458_658_440_000,
    };
    assert_eq!(entry.created_at(), "2025-07-25T15:50:58.440Z");
    entry.created_at_micros = 0;
    assert_eq!(entry.created_at(), "1970-01-01T00:00:00.000Z");
    assert_eq!(LogEntry::from_audit_json(&entry.to_audit_json()), Ok(entry));
}
