//! The rules of a log: which operation may come next, and whether a whole log is as the rules say.

use super::{DidData, LogEntry, Operation, PlcError};
use crate::data::cid::Cid;
use crate::syntax::Did;

pub(super) const HOUR_MICROS: i64 = 3_600_000_000;

/// How long a more powerful key may dispute an operation; the last microsecond counts.
const RECOVERY_WINDOW_MICROS: i64 = 72 * HOUR_MICROS;

/// What accepting an operation means for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The operations that leave the active log, oldest first.
    pub nullified: Vec<Cid>,
    /// The operation that the new one follows; none for a genesis.
    pub prev: Option<Cid>,
}

/// Checks whether `op` may be added to the log of `did` at `now_micros`.
///
/// `log` is in order of acceptance, and its nullified entries (which may be left out) are passed over. It is trusted; one
/// that comes from elsewhere goes through [`verify_log`].
pub fn validate_next(
    log: &[LogEntry],
    did: &Did,
    op: &Operation,
    now_micros: i64,
) -> Result<Accepted, PlcError> {
    let active: Vec<&LogEntry> = log.iter().filter(|entry| !entry.nullified).collect();
    let Some(latest) = active.last() else {
        return validate_genesis(did, op);
    };

    let prev = op.prev().ok_or(PlcError::MissingPrev)?;
    let position = active.iter().position(|entry| entry.cid == prev).ok_or(PlcError::UnknownPrev(prev))?;
    let mut from_prev = active.iter().skip(position);
    let rotation_keys = from_prev
        .next()
        .and_then(|entry| entry.operation.normalized())
        .ok_or(PlcError::Tombstoned)?
        .into_owned()
        .rotation_keys;

    let disputed: Vec<&LogEntry> = from_prev.copied().collect();
    if let Some(first_disputed) = disputed.first() {
        let disputed_signer = first_disputed.operation.signer(&rotation_keys)?;
        let more_powerful = rotation_keys.get(..disputed_signer).unwrap_or_default();
        op.signer(more_powerful)?;
        check_window(first_disputed, latest, now_micros)?;
    } else {
        op.signer(&rotation_keys)?;
    }

    Ok(Accepted { nullified: disputed.iter().map(|entry| entry.cid).collect(), prev: Some(prev) })
}

/// Replays a whole audit log and gives the state it ends in; none when it ends in a tombstone.
///
/// Checked is all that can be: every signature, CID and `prev`, the 72 hours, which operations are marked as nullified, and
/// that time does not go back.
pub fn verify_log(log: &[LogEntry]) -> Result<Option<DidData>, PlcError> {
    let did = &log.first().ok_or(PlcError::EmptyLog)?.did;
    let mut replayed: Vec<LogEntry> = Vec::with_capacity(log.len());
    for entry in log {
        let wrong = |what| PlcError::WrongLog { cid: entry.cid, what };
        if entry.did != *did {
            return Err(wrong("it is of another DID"));
        }
        if entry.operation.cid() != entry.cid {
            return Err(wrong("the CID is another"));
        }
        if replayed.last().is_some_and(|last| entry.created_at_micros < last.created_at_micros) {
            return Err(PlcError::Time);
        }
        let accepted = validate_next(&replayed, did, &entry.operation, entry.created_at_micros)?;
        for earlier in &mut replayed {
            earlier.nullified |= accepted.nullified.contains(&earlier.cid);
        }
        replayed.push(LogEntry { nullified: false, ..entry.clone() });
    }
    for (entry, replayed) in log.iter().zip(&replayed) {
        if entry.nullified != replayed.nullified {
            let what = "it is nullified and marked as active, or the reverse";
            return Err(PlcError::WrongLog { cid: entry.cid, what });
        }
    }
    let last = replayed.iter().rfind(|entry| !entry.nullified);
    Ok(last.and_then(|entry| DidData::of(&entry.operation)))
}

fn validate_genesis(did: &Did, op: &Operation) -> Result<Accepted, PlcError> {
    let state = op.normalized().ok_or(PlcError::GenesisTombstone)?;
    op.signer(&state.rotation_keys)?;
    let created = op.did_of_genesis();
    if created != *did {
        return Err(PlcError::GenesisHash(created));
    }
    if state.prev.is_some() {
        return Err(PlcError::GenesisPrev);
    }
    Ok(Accepted { nullified: Vec::new(), prev: None })
}

fn check_window(disputed: &LogEntry, latest: &LogEntry, now_micros: i64) -> Result<(), PlcError> {
    if now_micros <= latest.created_at_micros {
        return Err(PlcError::Time);
    }
    let lapsed_micros = now_micros.saturating_sub(disputed.created_at_micros);
    if lapsed_micros > RECOVERY_WINDOW_MICROS {
        return Err(PlcError::LateRecovery { lapsed_micros });
    }
    Ok(())
}
