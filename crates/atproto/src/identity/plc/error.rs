//! Why the directory says no.

use thiserror::Error;

use super::{MAX_OPERATION_BYTES, MAX_OPERATION_JSON_BYTES};
use crate::data::cid::Cid;
use crate::syntax::Did;

/// Why an operation or a log is refused, or a DID cannot be shown.
///
/// [`PlcError::http_status`] is what the directory at plc.directory answers. There every bad operation is a 400, the rate
/// limits too; where it stumbles over one (broken base64 in `sig`, `prev` that is not a CID) and answers 500, this says 400.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlcError {
    /// More JSON than any operation needs.
    #[error("the operation is {0} bytes of JSON; at most {MAX_OPERATION_JSON_BYTES} are read")]
    BodyTooLarge(usize),
    /// Not JSON, or not the fields of an operation.
    #[error("not a valid operation: {0}")]
    NotAnOperation(String),
    /// The deprecated form, which stays valid only where it is already in a log.
    #[error("not a valid operation: \"create\" operations are no longer accepted; send a plc_operation")]
    LegacyCreate,
    /// Over the limit for the encoded operation.
    #[error("the operation is {0} bytes of DAG-CBOR; at most {MAX_OPERATION_BYTES} are accepted")]
    TooLarge(usize),
    /// A list or map with too many entries.
    #[error("too many entries in {field}: at most {max}")]
    TooMany {
        /// The field of the operation.
        field: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// A text that is too long.
    #[error("{what} is too long: at most {max} characters")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How many UTF-16 units it may have.
        max: usize,
    },
    /// The same alias twice.
    #[error("alsoKnownAs has an entry twice: {0}")]
    DuplicateAlias(String),
    /// A rotation key that is not a secp256k1 or P-256 did:key.
    #[error("invalid rotation key (a secp256k1 or P-256 did:key is needed): {0}")]
    RotationKey(String),
    /// A verification method that is not a did:key at all.
    #[error("invalid verification method (a did:key is needed): {0}")]
    VerificationKey(String),
    /// More operations than the directory takes for one DID.
    #[error("too many operations within the last {window}: at most {max}; try again later")]
    RateLimited {
        /// Hour, day or week.
        window: &'static str,
        /// How many the window may have.
        max: usize,
    },
    /// `sig` is not the one base64url form of its bytes.
    #[error("the signature is not strict base64url (no padding, no line breaks, no stray bits)")]
    SignatureEncoding,
    /// No key that may sign this operation did.
    #[error("invalid signature: none of the rotation keys that may sign this operation did")]
    Signature,
    /// The hash of the first operation is another DID.
    #[error("the genesis operation belongs to {0}, not to this DID")]
    GenesisHash(Did),
    /// The first operation names one before it.
    #[error("the first operation of a DID has prev: null")]
    GenesisPrev,
    /// The first operation is a tombstone.
    #[error("operations out of order: a DID cannot begin with a tombstone")]
    GenesisTombstone,
    /// A later operation names none before it.
    #[error("operations out of order: the DID exists already, so prev must name its latest operation")]
    MissingPrev,
    /// `prev` is not in the log, or was nullified.
    #[error("operations out of order: prev {0} is not in the active log of the DID")]
    UnknownPrev(Cid),
    /// `prev` is a tombstone.
    #[error("operations out of order: the DID was ended by a tombstone")]
    Tombstoned,
    /// The clock of the log would go back.
    #[error("operations out of order: the operation is not later than the last one")]
    Time,
    /// A recovery after its window.
    #[error(
        "the recovery comes more than {} hours after the operation it disputes; it may come within 72",
        lapsed_micros / super::log::HOUR_MICROS
    )]
    LateRecovery {
        /// Time since the disputed operation.
        lapsed_micros: i64,
    },
    /// Another operation was accepted meanwhile; for stores that find out when they write.
    #[error("prev is no longer the most recent operation; fetch the log and sign again")]
    Conflict,
    /// No operation is known.
    #[error("DID not registered: {0}")]
    NotRegistered(Did),
    /// The identity was ended by a tombstone.
    #[error("DID not available: {0}")]
    NotAvailable(Did),
    /// A log without entries.
    #[error("the log is empty")]
    EmptyLog,
    /// An entry of a log does not say of its operation what is so.
    #[error("the log is wrong about its operation {cid}: {what}")]
    WrongLog {
        /// The operation, as the log calls it.
        cid: Cid,
        /// What is wrong.
        what: &'static str,
    },
}

impl PlcError {
    /// The HTTP status with which the directory refuses.
    pub fn http_status(&self) -> u16 {
        match self {
            PlcError::BodyTooLarge(_) => 413,
            PlcError::NotRegistered(_) | PlcError::NotAvailable(_) => 404,
            PlcError::Conflict => 409,
            _ => 400,
        }
    }
}
