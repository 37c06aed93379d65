//! What a record must satisfy whatever its lexicon (spec: data-model; lexicon, "When to use `$type`").
//!
//! Lexicons are not known here, so any record is accepted that is sound data: `$type` where it appears, and blob
//! references wherever they are. JSON has already dealt with malformed `$link` and `$bytes`.
//!
//! What was settled where the spec leaves room:
//! - The `$type` of the record itself is a plain NSID, since it names a collection. A nested `$type` is any text that is
//!   not empty: its form is the lexicon's business.
//! - A blob reference has its four members and no other, and its `size` is at least 1, as the spec says; the reference
//!   implementation lets 0 pass.
//! - The legacy blob form, exactly `{cid, mimeType}`, has no `$type` to know it by, but the spec says that it must never be
//!   written. An object of just that shape is refused when its `cid` is a CID, as the reference does.
//! - `$link` and `$bytes` as names in a map can only come from CBOR and would turn into something else in JSON. Refused.
//!   Other names with `$` are ignored, as the spec asks.

use std::fmt;

use super::cid::{Cid, Codec};
use super::value::{Map, Value};
use crate::syntax::{Nsid, SyntaxError, is_cid_syntax};

/// The longest record as DAG-CBOR.
pub const MAX_RECORD_BYTES: usize = 1_000_000;
/// The deepest nesting of maps and lists in a record, the record itself included.
pub const MAX_RECORD_DEPTH: usize = 64;

/// What a sound record tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordInfo {
    /// Its `$type`, which is also its collection.
    pub type_: Nsid,
    /// The blobs it refers to, in the order they appear; the same blob may appear more than once.
    pub blobs: Vec<BlobRef>,
}

/// A reference to a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRef {
    /// The hash of its bytes.
    pub cid: Cid,
    /// The type its owner gave it; not empty, otherwise unchecked.
    pub mime_type: String,
    /// Its length in bytes, as its owner says.
    pub size: u64,
}

/// Why a value is no record, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The place, as names and list positions from the outside in; empty for the record itself.
    pub path: Vec<String>,
    /// What is wrong there.
    pub fault: RecordFault,
}

/// What is wrong at a place of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The record itself is no object.
    #[error("a record must be an object, this is {0}")]
    NotAnObject(&'static str),
    /// Nested too deep.
    #[error("objects and lists are nested deeper than the {MAX_RECORD_DEPTH} levels allowed")]
    TooDeep,
    /// The record itself has no `$type`.
    #[error("a record must have a `$type`: the NSID of its collection, like com.example.note")]
    MissingType,
    /// A `$type` is not text, or empty.
    #[error("`$type` must be text that is not empty")]
    Type,
    /// The `$type` of the record itself is no NSID.
    #[error("the `$type` of a record must be the NSID of its collection: {0}")]
    TypeSyntax(#[from] SyntaxError),
    /// A name that JSON gives another meaning.
    #[error("`{0}` must not be used as a name")]
    Reserved(&'static str),
    /// A blob reference without a link to raw bytes.
    #[error("the `ref` of a blob must be a link to raw bytes: {{\"$link\": \"bafkrei…\"}}")]
    BlobRef,
    /// A blob reference without a type.
    #[error("the `mimeType` of a blob must be text that is not empty, like image/png")]
    BlobMimeType,
    /// A blob reference without a positive size.
    #[error("the `size` of a blob must be its length in bytes, a positive integer")]
    BlobSize,
    /// A blob reference with more members than it has.
    #[error("a blob has the members `$type`, `ref`, `mimeType` and `size` only")]
    BlobMember,
    /// The legacy form of a blob reference.
    #[error(
        "blobs in the legacy form {{cid, mimeType}} are not allowed, write {{\"$type\": \"blob\", ref, mimeType, size}}"
    )]
    LegacyBlob,
}

/// Checks a record and tells its type and blobs. Its length in bytes ([`MAX_RECORD_BYTES`]) is for the caller to check,
/// who has it encoded.
pub fn check_record(record: &Value) -> Result<RecordInfo, RecordError> {
    let blobs = check_data(record)?;
    let type_ = match record.as_map().and_then(|map| map.get("$type")) {
        Some(type_) => Nsid::parse(type_.as_text().unwrap_or_default())
            .map_err(|error| here(RecordFault::TypeSyntax(error)).within("$type"))?,
        None => return Err(here(RecordFault::MissingType)),
    };
    Ok(RecordInfo { type_, blobs })
}

/// Checks an object against the data model, without asking for a `$type` of its own.
pub fn check_data(object: &Value) -> Result<Vec<BlobRef>, RecordError> {
    if object.as_map().is_none() {
        return Err(here(RecordFault::NotAnObject(object.kind())));
    }
    let mut blobs = Vec::new();
    check_value(object, MAX_RECORD_DEPTH, &mut blobs)?;
    Ok(blobs)
}

fn check_value(value: &Value, left: usize, blobs: &mut Vec<BlobRef>) -> Result<(), RecordError> {
    let deeper = || left.checked_sub(1).ok_or_else(|| here(RecordFault::TooDeep));
    match value {
        Value::List(items) => {
            let left = deeper()?;
            for (index, item) in items.iter().enumerate() {
                check_value(item, left, blobs).map_err(|error| error.within(index))?;
            }
        }
        Value::Map(map) => {
            let left = deeper()?;
            check_names(map)?;
            for (name, value) in map.iter() {
                check_value(value, left, blobs).map_err(|error| error.within(name))?;
            }
            if map.get("$type").and_then(Value::as_text) == Some("blob") {
                blobs.push(blob_of(map)?);
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_names(map: &Map) -> Result<(), RecordError> {
    for name in ["$link", "$bytes"] {
        if map.get(name).is_some() {
            return Err(here(RecordFault::Reserved(name)));
        }
    }
    match map.get("$type") {
        None => {}
        Some(Value::Text(type_)) if !type_.is_empty() => {}
        Some(_) => return Err(here(RecordFault::Type).within("$type")),
    }
    if is_legacy_blob(map) {
        return Err(here(RecordFault::LegacyBlob));
    }
    Ok(())
}

fn blob_of(map: &Map) -> Result<BlobRef, RecordError> {
    let cid = map
        .get("ref")
        .and_then(Value::as_link)
        .filter(|cid| cid.codec() == Codec::Raw)
        .ok_or_else(|| here(RecordFault::BlobRef))?;
    let mime_type = map
        .get("mimeType")
        .and_then(Value::as_text)
        .filter(|mime_type| !mime_type.is_empty())
        .ok_or_else(|| here(RecordFault::BlobMimeType))?;
    let size = map
        .get("size")
        .and_then(Value::as_int)
        .and_then(|size| u64::try_from(size).ok())
        .filter(|size| *size > 0)
        .ok_or_else(|| here(RecordFault::BlobSize))?;
    if map.len() != 4 {
        return Err(here(RecordFault::BlobMember));
    }
    Ok(BlobRef { cid, mime_type: mime_type.to_owned(), size })
}

fn is_legacy_blob(map: &Map) -> bool {
    let text = |name| map.get(name).and_then(Value::as_text).unwrap_or_default();
    map.len() == 2 && is_cid_syntax(text("cid")) && !text("mimeType").is_empty()
}

fn here(fault: RecordFault) -> RecordError {
    RecordError { path: Vec::new(), fault }
}

impl RecordError {
    /// The same error seen from one level further out.
    fn within(mut self, name: impl ToString) -> Self {
        self.path.insert(0, name.to_string());
        self
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return write!(f, "invalid record: {}", self.fault);
        }
        write!(f, "invalid record at {:?}: {}", self.path.join("/"), self.fault)
    }
}

impl std::error::Error for RecordError {}
