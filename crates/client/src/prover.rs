//! Mints DPoP proofs with one key, and learns from refusals: the server's clock and its nonce.

use crate::clock;
use crate::error::Result;
use crate::keys::AgentKey;
use crate::refusal::Refusal;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A difference of clocks below this is the time the request took.
const SKEW_WORTH_LEARNING: i64 = 5;
/// How servers say that a newer proof would do: RFC 9449 gives it no code of its own.
const STALE: [&str; 4] = ["too old", "started", "stale", "expired"];
/// A longer nonce is ignored.
const MAX_NONCE_BYTES: usize = 1_024;

/// A key and what is known about the server that its proofs go to.
#[derive(Debug)]
pub(crate) struct Prover {
    key: AgentKey,
    learned: Mutex<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    /// To be put into every proof (RFC 9449, section 8).
    nonce: Option<String>,
    /// Server's clock minus ours, in seconds.
    skew: i64,
}

impl Prover {
    pub(crate) fn new(key: AgentKey) -> Self {
        Self { key, learned: Mutex::default() }
    }

    pub(crate) fn key(&self) -> &AgentKey {
        &self.key
    }

    /// The time as the server sees it, in Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        clock::now().saturating_add(self.learned().skew)
    }

    /// A new proof for one request; `token` is the access token that it accompanies.
    pub(crate) async fn proof(&self, method: &Method, url: &Url, token: Option<&str>) -> Result<String> {
        let nonce = self.learned().nonce.clone();
        self.key.proof(method.as_str(), url.as_str(), self.now(), nonce, token).await
    }

    /// Keeps the nonce that came with an answer.
    pub(crate) fn see(&self, headers: &HeaderMap) {
        let nonce = headers.get("dpop-nonce").and_then(|value| value.to_str().ok());
        if let Some(nonce) = nonce.filter(|nonce| nonce.len() <= MAX_NONCE_BYTES) {
            self.learned().nonce = Some(nonce.to_owned());
        }
    }

    /// Whether a new proof may pass where this one was refused, and after what wait. The server did nothing yet:
    /// the proof is checked first.
    pub(crate) fn second_chance(&self, refusal: &Refusal) -> Option<Duration> {
        if refusal.status == 401 && refusal.is("use_dpop_nonce") {
            return refusal.has_nonce.then_some(Duration::ZERO);
        }
        if refusal.status != 401 || !refusal.is("invalid_dpop_proof") {
            return None;
        }
        let mut learned = self.learned();
        if let Some(date) = refusal.date {
            let skew = date.saturating_sub(clock::now());
            if skew.abs_diff(learned.skew) >= SKEW_WORTH_LEARNING.unsigned_abs() {
                learned.skew = skew;
                return Some(Duration::ZERO);
            }
        }
        // A server refuses proofs from before its start, since it no longer knows which of them were used. `iat` has
        // whole seconds: one of the second in which it started may count as before.
        let message = refusal.message.to_ascii_lowercase();
        let stale = STALE.iter().any(|words| message.contains(words));
        stale.then(|| Duration::from_millis(clock::until_next_second().saturating_add(5)))
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
