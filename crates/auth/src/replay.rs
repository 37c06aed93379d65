//! Each proof is taken once: a memory of the proofs seen, bounded in time and in size.
//!
//! Terms: the *window* is how far `iat` may lie from now; the *floor* is the newest second whose proofs are no longer
//! remembered, so that all proofs up to it are refused. Forgetting always raises the floor first. That is why a replay
//! is never accepted, whatever happens: memory full, clock set back, process restarted ([`ReplayGuard::refuse_before`]).
//! The price is paid in refusals: after a clock that ran ahead is set right, until it passes the floor; and when more
//! proofs than fit arrive within the window, for those whose `iat` is oldest.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::jwk::Thumbprint;

/// Remembers proofs by the second they were signed in.
#[derive(Clone, Debug)]
pub struct ReplayGuard {
    window_seconds: i64,
    /// The most proofs remembered at a time.
    capacity: usize,
    /// Proofs signed in this second or before are refused, seen or not.
    floor: i64,
    /// Every proof remembered. Not by `iat`: a `jti` used again in a later second is refused as well.
    seen: HashSet<[u8; 16]>,
    /// The same by `iat`, so that forgetting is dropping whole seconds from the front. Nothing at or below `floor`.
    seconds: BTreeMap<i64, Vec<[u8; 16]>>,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// This key used this `jti` already.
    #[error("this proof was used before; sign a new proof with a new jti for each request")]
    Replayed,
    /// Signed so long ago that it may have been used and forgotten.
    #[error(
        "this proof is too old to tell whether it was used before; sign a new proof with the current time as iat"
    )]
    TooOld,
    /// Signed in the future.
    #[error("this proof is from the future; set your clock and sign a new proof")]
    TooNew,
}

impl ReplayGuard {
    /// Remembers up to `capacity` proofs whose `iat` is within `window_seconds` of now.
    ///
    /// A full one takes 55 to 70 bytes for each (2^21 proofs: about 130 MiB, 150 for a moment while the set doubles); what a
    /// burst made it take is kept for the next.
    pub fn new(window_seconds: i64, capacity: usize) -> Self {
        Self {
            window_seconds: window_seconds.max(0),
            capacity: capacity.max(1),
            floor: i64::MIN,
            seen: HashSet::new(),
            seconds: BTreeMap::new(),
        }
    }

    /// Refuses all proofs signed before the second `iat`: for a process that has just started and cannot know what an
    /// earlier one has accepted.
    pub fn refuse_before(&mut self, iat: i64) {
        self.raise_floor(iat.saturating_sub(1));
    }

    /// Takes a proof, unless it was or may have been taken before.
    pub fn check_and_insert(&mut self, digest: [u8; 16], iat: i64, now: i64) -> Result<(), ReplayError> {
        self.raise_floor(now.saturating_sub(self.window_seconds).saturating_sub(1));
        if iat > now.saturating_add(self.window_seconds) {
            return Err(ReplayError::TooNew);
        }
        if iat <= self.floor {
            return Err(ReplayError::TooOld);
        }
        if self.seen.contains(&digest) {
            return Err(ReplayError::Replayed);
        }
        self.make_room();
        if iat <= self.floor {
            return Err(ReplayError::TooOld);
        }
        self.seen.insert(digest);
        self.seconds.entry(iat).or_default().push(digest);
        Ok(())
    }

    /// How many proofs are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Is none remembered?
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn make_room(&mut self) {
        while self.seen.len() >= self.capacity {
            let Some((&oldest, _)) = self.seconds.first_key_value() else { return };
            self.raise_floor(oldest);
        }
    }

    /// The only way anything is forgotten.
    fn raise_floor(&mut self, floor: i64) {
        self.floor = self.floor.max(floor);
        while let Some(second) = self.seconds.first_entry() {
            if *second.key() > self.floor {
                return;
            }
            for digest in second.remove() {
                self.seen.remove(&digest);
            }
        }
    }
}

/// What the guard remembers of a proof. Two keys may use the same `jti`.
pub fn proof_digest(key: &Thumbprint, jti: &str) -> [u8; 16] {
    let whole: [u8; 32] = Sha256::new().chain_update(key.as_bytes()).chain_update(jti).finalize().into();
    let mut digest = [0; 16];
    for (to, from) in digest.iter_mut().zip(whole) {
        *to = from;
    }
    digest
}

#[cfg(test)]
mod tests;
