//! A record as it arrives: checked and encoded.

use crate::error::{Result, invalid_request};
use rookery_atproto::data::record::{BlobRef, MAX_RECORD_BYTES, check_record};
use rookery_atproto::data::{Cid, Value, cbor};
use rookery_atproto::syntax::Nsid;

/// A record that may be stored.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Hash of `body`.
    pub cid: Cid,
    /// DAG-CBOR.
    pub body: Vec<u8>,
    /// The blobs that it refers to, each once.
    pub blobs: Vec<BlobRef>,
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
    let info =
        check_record(value).map_err(|error| invalid_request(format!("The record is not valid: {error}")))?;
    let body = cbor::encode(value);
    if body.len() > MAX_RECORD_BYTES {
        return Err(invalid_request(format!(
            "The record is {} bytes of DAG-CBOR, the limit is {MAX_RECORD_BYTES}. Put large data into blobs or several records.",
            body.len()
        )));
    }
    let mut blobs = info.blobs;
    blobs.sort_unstable_by_key(|blob| blob.cid);
    // The same blob as two types stays there twice: one of them is wrong, and is refused with the rest of the commit.
    blobs.dedup();
    Ok(Encoded { cid: Cid::dag_cbor(&body), body, blobs })
}
