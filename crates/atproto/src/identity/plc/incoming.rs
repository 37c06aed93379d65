//! What a directory accepts: limits on the operation itself and on how many there are, besides the rules of the log.

use std::collections::BTreeSet;

use super::log::HOUR_MICROS;
use super::operation::{Content, Service, UnsignedOperation};
use super::{LogEntry, Operation, PlcError, validate_next};
use crate::crypto::{PublicKey, is_did_key_syntax};
use crate::data::cid::Cid;
use crate::syntax::Did;

/// Most bytes of an operation as DAG-CBOR. The method's spec says 7500, the directory's code 4000.
pub const MAX_OPERATION_BYTES: usize = 4000;
const MAX_ENTRIES: usize = 10;
/// A handle (253) with `at://` before it.
const MAX_ALIAS_CHARS: usize = 258;
const MAX_ID_CHARS: usize = 32;
const MAX_SERVICE_TYPE_CHARS: usize = 256;
const MAX_ENDPOINT_CHARS: usize = 512;
const MAX_DID_KEY_CHARS: usize = 256;

/// Operations of one DID that the directory takes within a time, recoveries excepted. The longest window is looked at
/// first, so that the message names the one that takes longest to pass.
const RATES: [(&str, i64, usize); 3] =
    [("week", 7 * 24 * HOUR_MICROS, 100), ("day", 24 * HOUR_MICROS, 30), ("hour", HOUR_MICROS, 10)];

const MILLI_MICROS: i64 = 1000;

/// An operation ready to be written to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The new entry.
    pub entry: LogEntry,
    /// The entries that become nullified with it.
    pub nullified: Vec<Cid>,
}

/// Everything a directory checks before it takes an operation, in the order of plc.directory.
///
/// The entry's time is `now_micros` in whole milliseconds, moved on if need be so that it is later than the last one's: the
/// order of times is then the order of the log, also when two come at once or the clock goes back.
pub fn admit(log: &[LogEntry], did: &Did, op: &Operation, now_micros: i64) -> Result<Admitted, PlcError> {
    check_incoming(op)?;
    let created_at_micros = time_after(log, now_micros);
    let accepted = validate_next(log, did, op, created_at_micros)?;
    // Someone who has a weaker key must not be able to use up the tries of the owner's recovery.
    if accepted.nullified.is_empty() {
        check_rate(log, created_at_micros)?;
    }
    let entry = LogEntry {
        did: did.clone(),
        operation: op.clone(),
        cid: op.cid(),
        nullified: false,
        created_at_micros,
    };
    Ok(Admitted { entry, nullified: accepted.nullified })
}

/// The limits of the directory on a new operation. Older entries of logs may be beyond them.
pub fn check_incoming(op: &Operation) -> Result<(), PlcError> {
    let bytes = op.to_cbor().len();
    if bytes > MAX_OPERATION_BYTES {
        return Err(PlcError::TooLarge(bytes));
    }
    match &op.content {
        Content::LegacyCreate(_) => Err(PlcError::LegacyCreate),
        Content::Tombstone(_) => Ok(()),
        Content::Plc(operation) => {
            check_aliases(&operation.also_known_as)?;
            check_rotation_keys(&operation.rotation_keys)?;
            check_services(operation)?;
            check_verification_methods(operation)
        }
    }
}

/// The limits of the directory on how often a DID changes.
pub fn check_rate(log: &[LogEntry], now_micros: i64) -> Result<(), PlcError> {
    for (window, micros, max) in RATES {
        let since = now_micros.saturating_sub(micros);
        let recent = |entry: &&LogEntry| !entry.nullified && entry.created_at_micros > since;
        if log.iter().filter(recent).count() >= max {
            return Err(PlcError::RateLimited { window, max });
        }
    }
    Ok(())
}

fn time_after(log: &[LogEntry], now_micros: i64) -> i64 {
    let now = now_micros - now_micros.rem_euclid(MILLI_MICROS);
    let last = log.iter().map(|entry| entry.created_at_micros).max();
    last.map_or(now, |last| now.max(last.saturating_add(MILLI_MICROS)))
}

fn check_aliases(aliases: &[String]) -> Result<(), PlcError> {
    check_count("alsoKnownAs", aliases.len())?;
    let mut seen = BTreeSet::new();
    for alias in aliases {
        check_chars("an entry of alsoKnownAs", alias, MAX_ALIAS_CHARS)?;
        if !seen.insert(alias) {
            return Err(PlcError::DuplicateAlias(alias.clone()));
        }
    }
    Ok(())
}

fn check_rotation_keys(keys: &[String]) -> Result<(), PlcError> {
    check_count("rotationKeys", keys.len())?;
    match keys.iter().find(|key| PublicKey::from_did_key(key).is_err()) {
        Some(key) => Err(PlcError::RotationKey(key.clone())),
        None => Ok(()),
    }
}

fn check_services(operation: &UnsignedOperation) -> Result<(), PlcError> {
    check_count("services", operation.services.len())?;
    for (id, Service { type_, endpoint }) in &operation.services {
        check_chars("the name of a service", id, MAX_ID_CHARS)?;
        check_chars("the type of a service", type_, MAX_SERVICE_TYPE_CHARS)?;
        check_chars("the endpoint of a service", endpoint, MAX_ENDPOINT_CHARS)?;
    }
    Ok(())
}

fn check_verification_methods(operation: &UnsignedOperation) -> Result<(), PlcError> {
    check_count("verificationMethods", operation.verification_methods.len())?;
    for (id, key) in &operation.verification_methods {
        check_chars("the name of a verification method", id, MAX_ID_CHARS)?;
        check_chars("the key of a verification method", key, MAX_DID_KEY_CHARS)?;
        if !is_did_key_syntax(key) {
            return Err(PlcError::VerificationKey(key.clone()));
        }
    }
    Ok(())
}

fn check_count(field: &'static str, count: usize) -> Result<(), PlcError> {
    if count > MAX_ENTRIES {
        return Err(PlcError::TooMany { field, max: MAX_ENTRIES });
    }
    Ok(())
}

/// The directory counts as JavaScript does, in UTF-16 units.
fn check_chars(what: &'static str, text: &str, max: usize) -> Result<(), PlcError> {
    if text.encode_utf16().count() > max {
        return Err(PlcError::TooLong { what, max });
    }
    Ok(())
}
