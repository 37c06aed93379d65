//! JSON records: the strict parser against an ordinary one, and the rules of the data model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_atproto::data::record::check_record;
use rookery_atproto::data::{Value, cbor, json};
use rookery_fuzz as _;
use serde_json::Value as Json;

const DEPTH: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let ours = json::parse(bytes, DEPTH);
    let theirs = serde_json::from_slice::<Json>(bytes);
    match (&ours, &theirs) {
        (Ok(value), Ok(json)) => {
            assert!(same(value, json), "{value:?} is not {json}");
            holds(value);
        }
        (Ok(value), Err(error)) => panic!("{value:?} was read where there is no JSON: {error}"),
        // The other parser keeps the last of two members of one name, and says nothing.
        (Err(error), Ok(json)) if is_plain(json, DEPTH) && members(json) == colons(bytes) => {
            panic!("{json} was refused: {error}");
        }
        (Err(_), Ok(json)) if is_plain(json, DEPTH) => {
            assert!(json::parse(json.to_string().as_bytes(), DEPTH).is_ok_and(|value| same(&value, json)));
        }
        (Err(_), _) => {}
    }
});

/// What must hold of any value.
fn holds(value: &Value) {
    assert!(value.depth() <= DEPTH);
    let block = cbor::encode(value);
    assert_eq!(cbor::decode(&block).as_ref(), Ok(value));
    let mut text = Vec::new();
    json::from_cbor(&block, &mut text).expect("our own block");
    assert_eq!(json::parse(&text, DEPTH).expect("our own JSON"), *value);
    if let Ok(record) = check_record(value) {
        assert!(
            value.as_map().and_then(|map| map.get("$type")).and_then(Value::as_text)
                == Some(record.type_.as_str())
        );
        assert!(record.blobs.iter().all(|blob| blob.size > 0 && !blob.mime_type.is_empty()));
    }
}

/// Whether an ordinary parser has read the same. It knows numbers with a fraction of zeros as floating point numbers, whose
/// last digits it may have lost.
fn same(value: &Value, json: &Json) -> bool {
    match (value, json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Int(a), Json::Number(b)) => b.as_i64().map_or_else(|| is_near(*a, b.as_f64()), |b| *a == b),
        (Value::Text(a), Json::String(b)) => a == b,
        (Value::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|json| same(value, json)))
        }
        (Value::Link(cid), Json::Object(b)) => {
            b.len() == 1 && b.get("$link") == Some(&cid.to_string().into())
        }
        (Value::Bytes(_), Json::Object(b)) => b.len() == 1 && b.get("$bytes").is_some_and(Json::is_string),
        _ => false,
    }
}

/// The other parser may be off by a few of the last digits that a floating point number has.
#[expect(clippy::cast_precision_loss, reason = "that is what it has done")]
fn is_near(a: i64, b: Option<f64>) -> bool {
    b.is_some_and(|b| (a as f64 - b).abs() <= b.abs() * 1e-15)
}

/// JSON that nobody could refuse.
fn is_plain(json: &Json, left: usize) -> bool {
    match json {
        Json::Null | Json::Bool(_) | Json::String(_) => true,
        Json::Number(number) => number.is_i64(),
        Json::Array(items) => left > 0 && items.iter().all(|item| is_plain(item, left - 1)),
        Json::Object(members) => {
            left > 0
                && members
                    .iter()
                    .all(|(name, json)| name != "$link" && name != "$bytes" && is_plain(json, left - 1))
        }
    }
}

/// Members of all objects.
fn members(json: &Json) -> usize {
    match json {
        Json::Array(items) => items.iter().map(members).sum(),
        Json::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// Colons outside of text: one for each member, in what is JSON.
fn colons(bytes: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            b'"' if !escaped => inside = !inside,
            b':' if !inside => count += 1,
            _ => {}
        }
        escaped = inside && *byte == b'\\' && !escaped;
    }
    count
}
