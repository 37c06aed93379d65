//! How often and how long a read is tried again. Writes never come here.

use crate::error::Error;
use crate::random;
use std::time::Duration;

/// Patience with a server that is away or busy. Only reads (`GET`) are repeated: a write whose answer was lost may have
/// happened.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How often a read is tried in all; 1 means never again.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles from there, with up to half of it added at random so that
    /// many agents do not come back at once.
    pub first_wait: Duration,
    /// No wait is longer, and a `Retry-After` beyond it is returned as the error it came with.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, first_wait: Duration::from_millis(250), longest_wait: Duration::from_secs(20) }
    }
}

impl Retry {
    /// One attempt, whatever happens.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait after the attempt numbered `done` (from 1) failed with `error`; `None` to give up.
    pub(crate) fn wait(&self, error: &Error, done: u32) -> Option<Duration> {
        if done >= self.attempts {
            return None;
        }
        let asked = match error {
            Error::Transport { .. } => None,
            Error::Xrpc { status: 429 | 500 | 502 | 503 | 504, retry_after, .. } => *retry_after,
            _ => return None,
        };
        match asked {
            Some(asked) => (asked <= self.longest_wait).then_some(asked),
            None => {
                let base = self.first_wait.saturating_mul(1 << done.saturating_sub(1).min(16));
                Some(base.saturating_add(jitter(base / 2)).min(self.longest_wait))
            }
        }
    }
}

/// A random duration up to `most`; none when there is no randomness.
fn jitter(most: Duration) -> Duration {
    let mut byte = [0; 1];
    match random::fill(&mut byte) {
        Ok(()) => most.mul_f64(f64::from(byte[0]) / 255.0),
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(status: u16, retry_after: Option<u64>) -> Error {
        Error::Xrpc {
            status,
            error: "Overloaded".into(),
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn waits_double_and_are_bounded() {
        let retry = Retry { attempts: 40, ..Retry::default() };
        for (done, least) in [(1, 250), (2, 500), (3, 1_000)] {
            let wait = retry.wait(&busy(503, None), done).unwrap();
            let least = Duration::from_millis(least);
            assert!(wait >= least && wait <= least + least / 2, "{wait:?}");
        }
        assert_eq!(retry.wait(&busy(500, None), 39), Some(retry.longest_wait));
    }

    #[test]
    fn retry_after_is_obeyed_unless_it_is_too_long() {
        let retry = Retry::default();
        assert_eq!(retry.wait(&busy(429, Some(3)), 1), Some(Duration::from_secs(3)));
        assert_eq!(retry.wait(&busy(429, Some(3_600)), 1), None);
    }

    #[test]
    fn what_the_client_did_wrong_is_not_repeated() {
        assert_eq!(Retry::default().wait(&busy(400, None), 1), None);
        assert_eq!(Retry::default().wait(&busy(501, None), 1), None);
        assert_eq!(Retry::never().wait(&busy(503, None), 1), None);
    }
}
