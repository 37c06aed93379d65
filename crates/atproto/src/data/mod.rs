//! The data model of the AT Protocol (spec: data-model).
//!
//! Terms: a *value* is what a record is made of; a *block* is a value as DAG-CBOR bytes; a *CID* is the hash by which a
//! block or a blob is known; *atproto JSON* is how values travel over HTTP.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cid`] | content identifiers, the two kinds the protocol allows |
//! | [`value`] | a value in memory |
//! | [`cbor`] | strict DAG-CBOR, reading and writing |
//! | [`json`] | atproto JSON, to and from values and straight from CBOR |
//! | [`record`] | what a record must satisfy whatever its lexicon |
//!
//! Tricky bits:
//! - There is exactly one encoding of a value: whatever [`cbor::decode`] accepts, [`cbor::encode`] gives back byte for byte.
//! - Depth counts open maps and lists: `{}` is 1 deep, `{"a": []}` is 2, text is 0. A `$link` or `$bytes` object of JSON is
//!   no map and adds nothing, so that JSON and CBOR agree.

pub mod cbor;
pub mod cid;
pub mod json;
pub mod record;
pub mod value;

pub use cid::{Cid, CidError, Codec};
pub use value::{DuplicateKey, Map, Value};
