//! The identifiers of the network, as types that can only hold valid ones.
//!
//! Each type has `parse`, which checks against the spec of the same name, and is text in JSON. Errors say what was
//! expected, so that they can be shown to whoever sent the text.
//!
//! Tricky bits:
//! - [`Handle::parse`] lowercases, since handles are the same in any case. Nothing else is normalised: DIDs, NSIDs and
//!   record keys are compared byte by byte.
//! - Syntax only: a DID of an unknown method and a handle under `.invalid` are well-formed.

mod at_identifier;
mod at_uri;
mod datetime;
mod did;
mod error;
mod handle;
mod language;
mod loose;
mod newtype;
mod nsid;
mod record_key;
mod tid;

pub use at_identifier::AtIdentifier;
pub use at_uri::AtUri;
pub use datetime::Datetime;
pub use did::Did;
pub use error::SyntaxError;
pub use handle::Handle;
pub use language::Language;
pub use loose::{is_cid_syntax, is_uri};
pub use nsid::Nsid;
pub use record_key::RecordKey;
pub use tid::{Tid, TidClock};
