//! Properties of the data model's encodings, and a comparison with an implementation nobody here wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use rookery_atproto::data::record::check_record;
use rookery_atproto::data::{Cid, Codec, Map, Value, cbor, json};

/// Any value, but for maps that JSON would read as links or bytes.
fn values() -> impl Strategy<Value = Value> {
    let cid = (any::<bool>(), any::<[u8; 32]>())
        .prop_map(|(raw, digest)| Cid::from_digest(if raw { Codec::Raw } else { Codec::DagCbor }, digest));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300i64..300).prop_map(Value::Int),
        any::<String>().prop_map(Value::Text),
        vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        cid.prop_map(Value::Link),
    ];
    let key = prop_oneof![any::<String>(), "[a-c]{0,3}", Just("$type".to_owned())];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::List),
            btree_map(key.clone(), inner, 0..8).prop_map(|entries| {
                let named = entries.into_iter().filter(|(key, _)| key != "$link" && key != "$bytes");
                Value::Map(Map::from_entries(named.collect()).unwrap())
            }),
        ]
    })
}

fn as_ipld(value: &Value) -> Ipld {
    match value {
        Value::Null => Ipld::Null,
        Value::Bool(value) => Ipld::Bool(*value),
        Value::Int(value) => Ipld::Integer(i128::from(*value)),
        Value::Text(value) => Ipld::String(value.clone()),
        Value::Bytes(value) => Ipld::Bytes(value.clone()),
        Value::Link(cid) => Ipld::Link(ipld_core::cid::Cid::try_from(&cid.as_bytes()[..]).unwrap()),
        Value::List(items) => Ipld::List(items.iter().map(as_ipld).collect()),
        Value::Map(map) => {
            let entries: BTreeMap<_, _> =
                map.iter().map(|(key, value)| (key.to_owned(), as_ipld(value))).collect();
            Ipld::Map(entries)
        }
    }
}

/// Bytes that are nearly the encoding of a value: a few of them changed, cut out or put in.
fn nearly_blocks() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3u8), 0..4);
    (values(), edits).prop_map(|(value, edits)| {
        let mut block = cbor::encode(&value);
        for (at, byte, edit) in edits {
            let at = at.index(block.len() + 1);
            match edit {
                0 => block.insert(at, byte),
                1 if at < block.len() => drop(block.remove(at)),
                _ => {
                    if let Some(changed) = block.get_mut(at) {
                        *changed = byte;
                    }
                }
            }
        }
        block
    })
}

/// What must hold for any bytes at all: no panic, all readers of one mind, and only the one encoding accepted.
fn check_bytes(bytes: &[u8]) -> Result<(), TestCaseError> {
    let decoded = cbor::decode(bytes);
    prop_assert_eq!(cbor::validate(bytes, cbor::Limits::BLOCK), decoded.clone().map(drop));
    let mut transcoded = Vec::new();
    prop_assert_eq!(json::from_cbor(bytes, &mut transcoded), decoded.clone().map(drop));
    let Ok(value) = decoded else {
        prop_assert!(transcoded.is_empty());
        return Ok(());
    };
    prop_assert_eq!(cbor::encode(&value), bytes);
    prop_assert_eq!(String::from_utf8(transcoded).unwrap(), json::to_string(&value));
    prop_assert_eq!(serde_ipld_dagcbor::from_slice::<Ipld>(bytes).unwrap(), as_ipld(&value));
    let _ = check_record(&value);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cbor_round_trips(value in values()) {
        prop_assert_eq!(cbor::decode(&cbor::encode(&value)), Ok(value));
    }

    #[test]
    fn cbor_is_what_another_implementation_writes(value in values()) {
        prop_assert_eq!(cbor::encode(&value), serde_ipld_dagcbor::to_vec(&as_ipld(&value)).unwrap());
    }

    #[test]
    fn json_round_trips_and_is_json_to_others(value in values()) {
        let text = json::to_string(&value);
        prop_assert_eq!(json::parse(text.as_bytes(), 64).unwrap(), value);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn json_straight_from_cbor_is_that_of_the_value(value in values()) {
        let mut transcoded = Vec::new();
        json::from_cbor(&cbor::encode(&value), &mut transcoded).unwrap();
        prop_assert_eq!(String::from_utf8(transcoded).unwrap(), json::to_string(&value));
    }

    #[test]
    fn any_bytes_are_refused_or_the_one_encoding(bytes in vec(any::<u8>(), 0..64)) {
        check_bytes(&bytes)?;
    }

    #[test]
    fn nearly_right_bytes_are_refused_or_the_one_encoding(bytes in nearly_blocks()) {
        check_bytes(&bytes)?;
    }

    #[test]
    fn any_text_as_json_is_refused_or_read(text in "[\\[\\]{}\",:$a-c\\\\u0-9.eE+ -]{0,40}") {
        let ours = json::parse(text.as_bytes(), 64);
        if let Ok(value) = ours {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            prop_assert_eq!(json::parse(json::to_string(&value).as_bytes(), 64).unwrap(), value);
        }
    }
}
