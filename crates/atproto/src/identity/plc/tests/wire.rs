use ipld_core::ipld::Ipld;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::data::cid::Cid;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,9}", "\\PC{0,20}", "[a-z]{20,40}"]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let texts = || prop::collection::vec(any_text(), 0..4);
    let methods = prop::collection::btree_map(any_text(), any_text(), 0..6);
    let service = (any_text(), any_text()).prop_map(|(type_, endpoint)| Service { type_, endpoint });
    let services = prop::collection::btree_map(any_text(), service, 0..6);
    let prev = prop::option::of(any::<[u8; 4]>().prop_map(|bytes| Cid::dag_cbor(&bytes)));
    let plc = (texts(), methods, texts(), services, prev.clone()).prop_map(
        |(rotation_keys, verification_methods, also_known_as, services, prev)| {
            Content::Plc(UnsignedOperation {
                rotation_keys,
                verification_methods,
                also_known_as,
                services,
                prev,
            })
        },
    );
    let tombstone = any::<[u8; 4]>().prop_map(|bytes| {
        let prev = Cid::dag_cbor(&bytes);
        Content::Tombstone(UnsignedTombstone { prev })
    });
    let create = [any_text(), any_text(), any_text(), any_text()].prop_map(|texts| {
        let [signing_key, recovery_key, handle, service] = texts;
        Content::LegacyCreate(LegacyCreate { signing_key, recovery_key, handle, service })
    });
    let content = prop_oneof![4 => plc, 1 => tombstone, 1 => create];
    (content, any_text()).prop_map(|(content, sig)| Operation { content, sig })
}

/// DAG-CBOR of JSON by an encoder that is not ours.
fn encode(json: Value) -> Vec<u8> {
    let ipld: Ipld = serde_json::from_value(json).unwrap();
    serde_ipld_dagcbor::to_vec(&ipld).unwrap()
}

proptest! {
    #[test]
    fn operations_round_trip_through_json(op in any_operation()) {
        let json = op.to_json().to_string();
        prop_assert_eq!(Operation::from_json(json.as_bytes()).unwrap(), op);
    }

    #[test]
    fn what_is_hashed_and_signed_is_the_dag_cbor_of_the_json(op in any_operation()) {
        let mut json = op.to_json();
        prop_assert_eq!(op.cid(), Cid::dag_cbor(&encode(json.clone())));
        json.as_object_mut().unwrap().remove("sig");
        prop_assert_eq!(op.signing_bytes(), encode(json));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Operation::from_json(&bytes);
    }
}

#[test]
fn json_is_read_strictly() {
    let good = genesis(&[0]).sign(&key(0)).to_json();
    let refused = |json: &Value| {
        let error = Operation::from_json(json.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, PlcError::NotAnOperation(_)), "{error}");
        assert_eq!(error.http_status(), 400);
    };
    for field in good.as_object().unwrap().keys() {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(field);
        refused(&without);
        let mut number = good.clone();
        number[field] = json!(7);
        refused(&number);
    }
    for (field, value) in [
        ("extra", json!(null)),
        ("type", json!("create")),
        ("type", json!("plc_tombstone")),
        ("type", json!("other")),
        ("prev", json!("")),
        ("prev", json!("not a CID")),
        ("sig", json!(null)),
        ("services", json!({"s": {"type": "T", "endpoint": "e", "extra": 1}})),
        ("services", json!({"s": {"type": "T"}})),
        ("services", json!([])),
        ("verificationMethods", json!({"m": null})),
        ("rotationKeys", json!(["did:key:z", 1])),
        ("alsoKnownAs", json!("at://a.test")),
    ] {
        let mut changed = good.clone();
        changed[field] = value;
        refused(&changed);
    }
    for other in [json!(null), json!([]), json!("plc_operation"), json!({})] {
        refused(&other);
    }
}

#[test]
fn duplicate_members_are_refused() {
    let good = genesis(&[0]).sign(&key(0)).to_json().to_string();
    for (member, twice) in [
        (r#""prev":null"#, r#""prev":null,"prev":null"#),
        (r#""type":"plc_operation""#, r#""type":"plc_operation","type":"plc_operation""#),
        (r#""services":{"#, r#""services":{"atproto_pds":{"type":"T","endpoint":"e"},"#),
        (r#""verificationMethods":{"#, r#""verificationMethods":{"atproto":"did:key:z","#),
        (r#""endpoint":"#, r#""endpoint":"x","endpoint":"#),
    ] {
        assert!(good.contains(member), "{member}");
        let json = good.replacen(member, twice, 1);
        let error = Operation::from_json(json.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("duplicate"), "{error}");
    }
}

#[test]
fn too_much_json_is_refused_unread() {
    let error = Operation::from_json(&vec![b' '; MAX_OPERATION_JSON_BYTES + 1]).unwrap_err();
    assert_eq!(error, PlcError::BodyTooLarge(MAX_OPERATION_JSON_BYTES + 1));
    assert_eq!(error.http_status(), 413);
    let deep = "[".repeat(MAX_OPERATION_JSON_BYTES);
    assert!(Operation::from_json(deep.as_bytes()).is_err());
    let long = format!(r#"{{"type": "{}"}}"#, "x".repeat(90_000));
    assert!(Operation::from_json(long.as_bytes()).unwrap_err().to_string().len() < 300);
}

#[test]
fn a_sig_has_one_spelling() {
    let op = genesis(&[0]).sign(&key(0));
    let keys = did_keys(&[0]);
    assert_eq!(op.signer(&keys), Ok(0));
    let spelled = |sig: String| Operation { sig, ..op.clone() }.signer(&keys);
    let last = op.sig.chars().last().unwrap();
    let after_first = op.sig.strip_prefix(|_| true).unwrap();
    // 64 bytes leave four unused bits in the last character, which is A, Q, g or w.
    let stray = char::from(last as u8 + 1);
    for sig in [
        format!("{}==", op.sig),
        format!("{}\n", op.sig),
        format!(" {}", op.sig),
        format!("{}{stray}", op.sig.strip_suffix(last).unwrap()),
        format!("+{after_first}"),
        format!("/{after_first}"),
        "é".to_owned(),
    ] {
        assert_eq!(spelled(sig.clone()), Err(PlcError::SignatureEncoding), "{sig:?}");
    }
    assert_eq!(spelled(String::new()), Err(PlcError::Signature));
}

#[test]
fn statuses_are_those_of_the_directory() {
    let did = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    for (error, status) in [
        (PlcError::NotRegistered(did.clone()), 404),
        (PlcError::NotAvailable(did), 404),
        (PlcError::Conflict, 409),
        (PlcError::Signature, 400),
        (PlcError::RateLimited { window: "hour", max: 10 }, 400),
    ] {
        assert_eq!(error.http_status(), status, "{error}");
    }
}
