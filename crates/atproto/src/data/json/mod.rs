//! atproto JSON: values as they travel over HTTP (spec: data-model, "JSON Representation").
//!
//! A link is `{"$link": "bafy…"}`, bytes are `{"$bytes": "base64"}`, both with exactly that one member; everything else is
//! plain JSON without floating point numbers.
//!
//! Reading is strict, since a record is hashed as it was understood: no duplicate members, no numbers that are not
//! integers of 64 signed bits, no lone surrogates, no malformed `$link` or `$bytes`. One leniency, which the protocol's own
//! test vectors ask for: an integer may be written with a fraction of zeros (`123.0`), without exponent.
//!
//! Writing gives the shortest JSON, text escaped only where RFC 8259 says it must be, bytes as base64 without padding.

mod parse;
mod transcode;
mod write;

pub use parse::{JsonError, MAX_DEPTH, parse};
pub use transcode::from_cbor;
pub use write::{to_string, write};
