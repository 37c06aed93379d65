//! did:plc: identities whose history is a chain of signed operations, kept by a directory.
//!
//! Everything here follows the [method's spec](https://web.plc.directory/spec/v0.1/did-plc) and, where that is silent or
//! out of date, what the directory at plc.directory does.
//!
//! *Terms.* The **genesis** is the first operation; its hash is the DID. A **rotation key** may sign operations; earlier in
//! the list means more power. An operation names the one before it as `prev`. A **recovery** names an older one, signed by a
//! more powerful key than the operation it disputes; within 72 hours it **nullifies** that one and all that follow. A
//! **tombstone** ends the identity. The **audit log** has every operation ever accepted, nullified ones too.
//!
//! *Tricky bits.*
//! - What is signed is the DAG-CBOR of the JSON object without `sig`; what is hashed is the one with it. `prev` is text in
//!   both, not a link, and a genesis has `prev: null`. The CID depends on the signature, so that its text form is strict too.
//! - Old logs hold what is no longer accepted (`create` operations, odd keys). So the rules of a chain ([`validate_next`])
//!   and the limits for incoming operations ([`check_incoming`]) are two functions; [`admit`] is both, for a directory.
//! - An operation is checked against the keys of the operation it names, not against its own.
//!
//! | step | function |
//! |---|---|
//! | write | [`UnsignedOperation::sign`], [`Operation::did_of_genesis`] |
//! | accept into a directory | [`admit`] |
//! | check someone's log | [`verify_log`] |
//! | show | [`DidData`], [`render_did_doc`] |

mod did_data;
mod encoding;
mod error;
mod incoming;
mod log;
mod log_entry;
mod operation;
#[cfg(test)]
mod tests;
mod wire;

pub use did_data::{DidData, render_did_doc};
pub use error::PlcError;
pub use incoming::{Admitted, MAX_OPERATION_BYTES, admit, check_incoming, check_rate};
pub use log::{Accepted, validate_next, verify_log};
pub use log_entry::LogEntry;
pub use operation::{Content, LegacyCreate, Operation, Service, UnsignedOperation, UnsignedTombstone};
pub use wire::MAX_OPERATION_JSON_BYTES;
