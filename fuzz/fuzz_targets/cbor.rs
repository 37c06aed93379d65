//! DAG-CBOR: every reader is of one mind, and only the one encoding of a value is accepted.

#![no_main]

use ipld_core::ipld::Ipld;
use libfuzzer_sys::fuzz_target;
use rookery_atproto::data::record::{MAX_RECORD_DEPTH, check_record};
use rookery_atproto::data::{Value, cbor, json};
use rookery_fuzz as _;
use std::collections::BTreeMap;

fuzz_target!(|bytes: &[u8]| {
    let decoded = cbor::decode(bytes);
    assert_eq!(cbor::validate(bytes, cbor::Limits::BLOCK), decoded.clone().map(drop));
    let mut transcoded = b"[".to_vec();
    assert_eq!(json::from_cbor(bytes, &mut transcoded), decoded.clone().map(drop));
    let mut reader = cbor::Reader::new(bytes);
    let skipped = reader.skip(cbor::Limits::BLOCK.depth).and_then(|_| reader.finish());
    assert_eq!(skipped.is_ok(), decoded.is_ok());
    let Ok(value) = decoded else {
        assert_eq!(transcoded, b"[", "what was refused leaves nothing behind");
        return;
    };
    assert_eq!(cbor::encode(&value), bytes);
    assert_eq!(transcoded.get(1..), Some(json::to_string(&value).as_bytes()));
    // The other reader stops a little before ours.
    if value.depth() < cbor::Limits::BLOCK.depth {
        assert_eq!(serde_ipld_dagcbor::from_slice::<Ipld>(bytes).expect("others read it"), as_ipld(&value));
    }
    if check_record(&value).is_ok() {
        let text = json::to_string(&value);
        assert_eq!(json::parse(text.as_bytes(), MAX_RECORD_DEPTH).expect("its own JSON"), value);
    }
});

fn as_ipld(value: &Value) -> Ipld {
    match value {
        Value::Null => Ipld::Null,
        Value::Bool(value) => Ipld::Bool(*value),
        Value::Int(value) => Ipld::Integer(i128::from(*value)),
        Value::Text(value) => Ipld::String(value.clone()),
        Value::Bytes(value) => Ipld::Bytes(value.clone()),
        Value::Link(cid) => {
            Ipld::Link(ipld_core::cid::Cid::try_from(cid.as_bytes().as_slice()).expect("a CID"))
        }
        Value::List(items) => Ipld::List(items.iter().map(as_ipld).collect()),
        Value::Map(map) => {
            let entries: BTreeMap<_, _> =
                map.iter().map(|(key, value)| (key.to_owned(), as_ipld(value))).collect();
            Ipld::Map(entries)
        }
    }
}
