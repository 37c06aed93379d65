//! When a relay is asked. Pure: time is a duration since the start, which whoever calls keeps.
//!
//! A relay is asked for a crawl
//!
//! - once after the start, as soon as there is an account;
//! - on a write, when it was last asked more than 20 minutes ago;
//! - when it seems to have lost this server: nobody has read the firehose for ten minutes, or the relay itself says that it
//!   cannot reach this server or does not know it. It is asked again at growing intervals while that stays so.
//!
//! A failure is followed by growing waits, a final refusal by a long one. What the relay knows of this server is read soon
//! after each request, and every ten minutes.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Age of the last request after which a write is reason for another.
const STALE: Duration = Duration::from_mins(20);
/// Time without a reader after which a relay is asked again.
const QUIET: Duration = Duration::from_mins(10);
/// Times that the interval doubles while nobody comes: 10, 20, 40, 80, 160 minutes.
const QUIET_DOUBLINGS: u32 = 4;
/// First wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// The longest that a relay can ask to be left alone.
const PATIENCE: Duration = Duration::from_hours(24);
/// Wait after a refusal that trying again does not change.
const REFUSED_WAIT: Duration = Duration::from_hours(6);
/// Wait between a request and reading what came of it.
const STATUS_SOON: Duration = Duration::from_secs(3);
/// Interval at which the status is read.
const STATUS_EVERY: Duration = Duration::from_mins(10);

/// What there is to tell a relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Whether an account is served here. Without one there is nothing to crawl.
    pub(super) has_accounts: bool,
    /// `seq` of the newest event.
    pub(super) newest: i64,
    /// How long nobody has read the firehose; none while somebody does.
    pub(super) quiet: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for a crawl.
    RequestCrawl,
    /// Read what the relay knows.
    ReadStatus,
}

/// What became of a request for a crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The relay comes.
    Accepted,
    /// Not now; the relay may have said for how long.
    Failed(Option<Duration>),
    /// It does not come, and asking again does not change that.
    Refused,
}

/// A request that was accepted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Accepted {
    at: Duration,
    /// The newest event at that time.
    newest: i64,
}

/// One relay's timetable.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Schedule {
    last: Option<Accepted>,
    /// Accepted requests in a row while nobody was reading.
    unanswered: u32,
    /// Failures in a row.
    failures: u32,
    /// No request before this.
    not_before: Duration,
    /// When the status is read; none before the first request.
    status_at: Option<Duration>,
    /// The relay says that it is not connected.
    lost: bool,
}

impl Schedule {
    /// What is due at `now`.
    pub(super) fn due(&mut self, now: Duration, situation: Situation) -> Option<Step> {
        if situation.quiet.is_none() && !self.lost {
            self.unanswered = 0;
        }
        if situation.has_accounts && now >= self.not_before && self.has_reason(now, situation) {
            return Some(Step::RequestCrawl);
        }
        self.status_at.is_some_and(|at| now >= at).then_some(Step::ReadStatus)
    }

    /// When something is due at the latest, as far as is known at `now`: a host need not look before.
    pub(super) fn next(&self, now: Duration, situation: Situation) -> Option<Duration> {
        let reason = if situation.has_accounts { self.reason_at(now, situation) } else { None };
        let request = reason.map(|at| at.max(self.not_before));
        request.into_iter().chain(self.status_at).min()
    }

    fn has_reason(&self, now: Duration, situation: Situation) -> bool {
        self.reason_at(now, situation).is_some_and(|at| now >= at)
    }

    /// When there is reason for a request, if nothing changes.
    fn reason_at(&self, now: Duration, situation: Situation) -> Option<Duration> {
        let Some(last) = self.last else { return Some(Duration::ZERO) };
        let stale = last.at + STALE + Duration::from_nanos(1);
        let written = (situation.newest > last.newest).then_some(stale);
        let doublings = self.unanswered.saturating_sub(1).min(QUIET_DOUBLINGS);
        let patient = last.at + QUIET * (1 << doublings);
        let quiet_at = situation.quiet.map(|quiet| now + QUIET.saturating_sub(quiet));
        let unread = if self.lost { Some(patient) } else { quiet_at.map(|at| at.max(patient)) };
        written.into_iter().chain(unread).min()
    }

    /// A request for a crawl ended. `jitter` spreads the waits of many servers.
    pub(super) fn crawl_requested(
        &mut self,
        now: Duration,
        situation: Situation,
        outcome: Outcome,
        jitter: u16,
    ) {
        self.status_at.get_or_insert(now + STATUS_SOON);
        match outcome {
            Outcome::Accepted => {
                self.last = Some(Accepted { at: now, newest: situation.newest });
                self.unanswered = self.unanswered.saturating_add(1);
                self.failures = 0;
                self.not_before = now;
                self.status_at = Some(now + STATUS_SOON);
            }
            Outcome::Failed(asked) => {
                let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
                self.failures = self.failures.saturating_add(1);
                // Never earlier than the relay asked for.
                let wait = match asked {
                    Some(asked) if asked > wait => more(asked.min(PATIENCE), jitter),
                    _ => less(wait, jitter),
                };
                self.not_before = now + wait;
            }
            Outcome::Refused => {
                self.failures = 0;
                self.not_before = now + less(REFUSED_WAIT, jitter);
            }
        }
    }

    /// The status was read, or could not be. `lost` says that the relay is not connected to this server; none is as before.
    pub(super) fn status_read(&mut self, now: Duration, lost: Option<bool>, jitter: u16) {
        self.lost = lost.unwrap_or(self.lost);
        self.status_at = Some(now + less(STATUS_EVERY, jitter));
    }
}

/// Between half and all of `wait`.
fn less(wait: Duration, jitter: u16) -> Duration {
    wait / 2 + part(wait / 2, jitter)
}

/// Up to a tenth more than `wait`.
fn more(wait: Duration, jitter: u16) -> Duration {
    wait + part(wait / 10, jitter)
}

fn part(of: Duration, jitter: u16) -> Duration {
    of * u32::from(jitter) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests;
