//! How much strangers and accounts may ask for: rates ([`window`]), and what is in progress at once ([`places`]).
//!
//! Pure and in memory. The time comes from the `Clock` port, the address of a request from the host; a restart forgets
//! everything. What is charged when:
//!
//! - The layer in `http/limits.rs` charges the address of a request before anything is done for it, unless the request is a
//!   write: those are their account's.
//! - `http/auth.rs` counts failed authentications of an address, and charges an account a point for each procedure before the
//!   proof is remembered. So nobody fills that memory for nothing.
//! - `repo/commit.rs` charges the rest of what the writes cost, `blob/upload.rs` an upload.

mod client;
mod places;
mod points;
mod window;

pub use client::{ClientAddress, address_key};
pub use places::{Full, Place, Places};

pub(crate) use client::Client;
pub(crate) use points::points;
pub(crate) use window::Standing;

use crate::config::{Rate, RateLimits};
use crate::error::{Error, Result};
use crate::ports::RepoId;
use http::StatusCode;
use window::Windows;

/// Keys in memory for each limit: about 6 MiB when all of them are in use.
const KEYS: usize = 1 << 16;

/// All rates of a server.
pub(crate) struct Limits {
    /// By account, in points.
    pub(crate) writes: Limit,
    /// By account.
    pub(crate) uploads: Limit,
    /// By address: every request that is not a write.
    pub(crate) reads: Limit,
    /// By address: `getRepo`, which is not among the reads.
    pub(crate) exports: Limit,
    /// By address.
    pub(crate) signups: Limit,
    /// By address: failed authentications.
    pub(crate) failures: Limit,
}

/// One of them.
pub(crate) struct Limit {
    /// What there is too much of, as a sentence begins.
    what: &'static str,
    windows: Windows,
}

impl Limits {
    pub(crate) fn new(rates: &RateLimits) -> Self {
        Self {
            writes: Limit::new("Too many writes by this account", &rates.writes, KEYS),
            uploads: Limit::new("Too many uploads by this account", &rates.uploads, KEYS),
            reads: Limit::new("Too many requests from this address", &rates.reads, KEYS),
            exports: Limit::new("Too many exports to this address", &rates.exports, KEYS),
            signups: Limit::new("Too many enrollments from this address", &rates.signups, KEYS),
            failures: Limit::new("Too many failed authentications from this address", &rates.failures, KEYS),
        }
    }

    /// True when there are none.
    pub(crate) fn are_off(&self) -> bool {
        [&self.writes, &self.uploads, &self.reads, &self.exports, &self.signups, &self.failures]
            .iter()
            .all(|limit| limit.windows.is_off())
    }
}

impl Limit {
    fn new(what: &'static str, rates: &[Rate], keys: usize) -> Self {
        Self { what, windows: Windows::new(rates, keys) }
    }

    /// Takes points from `key`, or none and refuses. How it stands then, if there is a limit.
    fn take(&self, key: u64, points: u32, now: i64) -> Result<Option<Standing>> {
        self.windows.take(key, points, now).map_err(|standing| self.exceeded(points, standing))
    }

    /// Refuses `key` when it has nothing left.
    pub(crate) fn require_left(&self, key: u64, now: i64) -> Result<()> {
        self.windows.require_left(key, now).map_err(|standing| self.exceeded(1, standing))
    }

    /// Counts one, whether there is something left or not.
    pub(crate) fn count(&self, key: u64, now: i64) {
        // Who has nothing left is refused the next time.
        let _ = self.windows.take(key, 1, now);
    }

    fn exceeded(&self, points: u32, standing: Standing) -> Error {
        let Standing { rate: Rate { points: limit, window }, remaining, wait, .. } = standing;
        let (what, seconds) = (self.what, window.as_secs());
        let message = if remaining == 0 {
            format!("{what}: the limit is {limit} in {seconds} seconds. Try again in {wait} seconds.")
        } else {
            format!(
                "{what}: this needs {points} points, and {remaining} of {limit} in {seconds} seconds are left. Send less \
                 at a time, or try again in {wait} seconds."
            )
        };
        Error::new(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded", message).limited(standing)
    }
}

/// What an account is counted under.
pub(crate) fn account_key(account: RepoId) -> u64 {
    account.0.unsigned_abs()
}
