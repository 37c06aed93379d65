use serde_json::json;

use super::*;
use crate::crypto::SecretKey;

const DID: &str = "did:web:example.com";

fn document(parts: Value) -> DidDocument {
    let mut document = json!({"id": DID});
    for (field, value) in parts.as_object().unwrap() {
        document[field] = value.clone();
    }
    DidDocument::parse(document.to_string().as_bytes()).unwrap()
}

fn method(id: &str, type_: &str, key: &str) -> Value {
    json!({"id": id, "type": type_, "controller": DID, "publicKeyMultibase": key})
}

#[test]
fn a_key_is_found_in_every_form_that_occurs() {
    let legacy = "zQYEBzXeuTM9UR3rfvNag6L3RNAs5pQZyYPsomTsgQhsxLdEgCrPTLgFna8yqCnxPpNT7DBk6Ym3dgPKNu86vt9GR";
    let multikey = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF";
    let key = PublicKey::from_multikey(multikey).unwrap();
    let absolute = format!("{DID}#atproto");
    for (id, type_, text) in [
        ("#atproto", "Multikey", multikey),
        (&absolute, "Multikey", multikey),
        ("#atproto", "EcdsaSecp256k1VerificationKey2019", legacy),
    ] {
        let doc = document(json!({"verificationMethod": [method(id, type_, text)]}));
        assert_eq!(doc.signing_key().as_ref(), Some(&key), "{id} {type_}");
    }

    let p256 = SecretKey::from_bytes(Curve::P256, &[3; 32]).unwrap().public();
    let bare = format!("z{}", bs58::encode(p256.as_sec1()).into_string());
    let entry = method("#atproto", "EcdsaSecp256r1VerificationKey2019", &bare);
    let doc = document(json!({"verificationMethod": [entry]}));
    assert_eq!(doc.signing_key(), Some(p256));
}

#[test]
fn the_first_valid_key_wins_and_others_are_passed_over() {
    let key = SecretKey::from_bytes(Curve::K256, &[3; 32]).unwrap().public();
    let good = method("#atproto", "Multikey", &key.to_multikey());
    let mut foreign = good.clone();
    foreign["controller"] = json!("did:web:other.example");
    let doc = document(json!({"verificationMethod": [
        "not an object",
        {"id": "#atproto"},
        method("#atproto_label", "Multikey", &key.to_multikey()),
        method("did:web:other.example#atproto", "Multikey", &key.to_multikey()),
        method("#atproto", "JsonWebKey2020", &key.to_multikey()),
        method("#atproto", "Multikey", "zNonsense"),
        foreign,
    ]}));
    assert_eq!(doc.signing_key(), None);

    let broken = method("#atproto", "Multikey", "zNonsense");
    let doc = document(json!({"verificationMethod": [broken, good]}));
    assert_eq!(doc.signing_key(), Some(key));
}

#[test]
fn the_endpoint_is_an_origin_or_nothing() {
    let endpoint = |url: &str| {
        let service =
            json!({"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": url});
        let doc = document(json!({"service": [{"id": "#other"}, service]}));
        doc.pds_endpoint().map(str::to_owned)
    };
    for good in ["https://pds.example.com", "http://localhost:2583", "http://[::1]:2583", "https://[::1]"] {
        assert_eq!(endpoint(good).as_deref(), Some(good));
    }
    assert_eq!(endpoint("https://pds.example.com/").unwrap(), "https://pds.example.com");
    for bad in [
        "",
        "pds.example.com",
        "ftp://pds.example.com",
        "https://",
        "https:///",
        "https://a/xrpc",
        "https://a@b",
        "https://a?b",
        "https://a#b",
        "https://a:b",
        "https://a:70000",
        "https://a b",
        "https://[::1",
        "https://a\\b",
    ] {
        assert_eq!(endpoint(bad), None, "{bad:?}");
    }
}

#[test]
fn the_handle_is_the_first_valid_alias() {
    let doc = document(
        json!({"alsoKnownAs": ["https://x.example", 7, "at://no_handle", "at://Alice.Test", "at://b.test"]}),
    );
    assert_eq!(doc.handle(), Some(Handle::parse("alice.test").unwrap()));
    assert_eq!(document(json!({"alsoKnownAs": "at://a.test"})).handle(), None);
    assert_eq!(document(json!({})).handle(), None);
}

#[test]
fn what_is_no_document_is_refused() {
    let refused = |json: &str| DidDocument::parse(json.as_bytes()).unwrap_err();
    assert_eq!(refused("[]"), DidDocError::NotAnObject);
    assert_eq!(refused("{"), DidDocError::NotAnObject);
    assert_eq!(refused(&"[".repeat(10_000)), DidDocError::NotAnObject);
    assert_eq!(refused("{}"), DidDocError::NoId);
    assert_eq!(refused(r#"{"id": "example.com"}"#), DidDocError::NoId);
    assert_eq!(refused(&" ".repeat(300_000)), DidDocError::TooLarge(300_000));

    let asked = Did::parse("did:web:asked.example").unwrap();
    let json = format!(r#"{{"id": "{DID}"}}"#);
    assert!(DidDocument::parse_for(&Did::parse(DID).unwrap(), json.as_bytes()).is_ok());
    assert!(matches!(DidDocument::parse_for(&asked, json.as_bytes()), Err(DidDocError::OtherDid { .. })));
}
