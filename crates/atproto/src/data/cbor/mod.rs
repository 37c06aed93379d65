//! Strict DAG-CBOR: the one encoding of a value that the network hashes and signs (spec: data-model; DRISL).
//!
//! Strict means that there is exactly one way to write a value and every other is refused: shortest heads, definite
//! lengths, map keys as text in canonical order without duplicates, no floats, no tag but 42, allowed CIDs only.
//! Input from strangers is bounded by [`Limits`]; nothing is allocated that the input does not pay for in bytes.

mod codec;
mod error;
mod reader;
mod writer;

use std::cmp::Ordering;

pub(crate) use codec::limited;
pub use codec::{Limits, decode, decode_with, encode, validate, write_value};
pub use error::{CborError, CborFault, Kind};
pub use reader::Reader;
pub use writer::Writer;

/// The canonical order of map keys: shorter first, then by bytes.
#[must_use]
pub fn key_order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.as_bytes().cmp(right.as_bytes()))
}
