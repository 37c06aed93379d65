//! A record as it arrives: checked and encoded.

use crate::error::{Result, invalid_request};
use rookery_atproto::data::record::{MAX_RECORD_BYTES, check_record};
use rookery_atproto::data::{Cid, Value, cbor};
use rookery_atproto::syntax::Nsid;

/// A record that may be stored.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Hash of `body`.
    pub cid: Cid,
    /// DAG-CBOR.
    pub body: Vec<u8>,
}

/// Checks a record against the data model and its collection, and encodes it. No lexicon is known here, so nothing else is
/// checked.
pub(crate) fn encode(collection: &Nsid, value: &Value) -> Result<Encoded> {
    let given = value.as_map().map(|map| map.get("$type"));
    match given {
        None => {
            return Err(invalid_request(format!("A record must be a JSON object, not {}.", value.kind())));
        }
        Some(None) => {
            return Err(invalid_request(format!(
                "The record has no $type. Add \"$type\": \"{collection}\"."
            )));
        }
        Some(Some(Value::Text(text))) if text == collection.as_str() => {}
        Some(Some(Value::Text(text))) => {
            return Err(invalid_request(format!("Invalid $type: expected {collection}, got {text}")));
        }
        Some(Some(other)) => {
            return Err(invalid_request(format!(
                "Invalid $type: expected {collection}, got {}",
                other.kind()
            )));
        }
    }
    check_record(value).map_err(|error| invalid_request(format!("The record is not valid: {error}")))?;
    let body = cbor::encode(value);
    if body.len() > MAX_RECORD_BYTES {
        return Err(invalid_request(format!(
            "The record is {} bytes of DAG-CBOR, the limit is {MAX_RECORD_BYTES}. Put large data into blobs or several records.",
            body.len()
        )));
    }
    Ok(Encoded { cid: Cid::dag_cbor(&body), body })
}
