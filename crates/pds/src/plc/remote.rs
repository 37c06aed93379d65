//! A directory at a URL: bounded in time, patient with an overloaded one, and sure of what was registered.

use super::refused;
use crate::app::App;
use crate::config::limits;
use crate::error::{Error, Result, internal};
use crate::ports::{HttpRequest, HttpResponse, Method, NetError};
use bytes::Bytes;
use quick_cache::sync::Cache;
use rookery_atproto::identity::plc::Operation;
use rookery_atproto::syntax::Did;
use serde_json::Value;
use std::time::Duration;

/// Whole time of one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Waits between attempts.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(2)];
/// The longest `Retry-After` that is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a document counts, in microseconds.
const FRESH: i64 = 60 * 1_000_000;
/// Documents kept.
const DOCUMENTS: usize = 1_000;

/// The directory at a URL.
pub(crate) struct Remote {
    url: String,
    /// Documents with the time they were read.
    documents: Cache<Did, (i64, Value)>,
}

impl Remote {
    pub(super) fn new(url: String) -> Self {
        Self { url, documents: Cache::new(DOCUMENTS) }
    }

    /// Sends an operation. An attempt whose outcome is unknown is followed by a look at the log, so that an operation that
    /// did arrive is neither lost nor refused as a repeat.
    pub(super) async fn submit(&self, app: &App, did: &Did, operation: &Operation) -> Result<()> {
        let body = Bytes::from(operation.to_json().to_string());
        let answer = self.attempt(app, Method::Post, &format!("/{did}"), Some(body)).await;
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => {
                if self.has(app, did, operation).await {
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
                if answer.status >= 500 || answer.status == 429 {
                    return Err(unavailable(format!("status {}: {said}", answer.status)));
                }
                Err(refused(format!("status {}: {said}", answer.status)))
            }
            Err(error) => {
                if self.has(app, did, operation).await {
                    return Ok(());
                }
                Err(unavailable(error))
            }
        }
    }

    /// The DID document, at most a minute old.
    pub(super) async fn document(&self, app: &App, did: &Did) -> Result<Value> {
        let now = app.now_micros();
        if let Some((read_at, document)) = self.documents.get(did)
            && (read_at..read_at + FRESH).contains(&now)
        {
            return Ok(document);
        }
        let answer = self.attempt(app, Method::Get, &format!("/{did}"), None).await.map_err(unavailable)?;
        if answer.status != 200 {
            return Err(unavailable(format!("status {} for {did}", answer.status)));
        }
        let document: Value = serde_json::from_slice(&answer.body).map_err(internal)?;
        self.documents.insert(did.clone(), (now, document.clone()));
        Ok(document)
    }

    /// True when `operation` is the last one of the DID's log.
    async fn has(&self, app: &App, did: &Did, operation: &Operation) -> bool {
        let answer = self.attempt(app, Method::Get, &format!("/{did}/log/last"), None).await;
        answer
            .ok()
            .filter(|answer| answer.status == 200)
            .and_then(|answer| Operation::from_json(&answer.body).ok())
            .is_some_and(|last| last.cid() == operation.cid())
    }

    /// A request, tried again while the directory is unreachable or overloaded.
    async fn attempt(
        &self,
        app: &App,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> std::result::Result<HttpResponse, NetError> {
        let mut waits = BACK_OFF.into_iter();
        loop {
            let request = HttpRequest {
                method,
                url: format!("{}{path}", self.url),
                body: body.clone(),
                timeout: ATTEMPT,
                max_response: limits::REMOTE_DOCUMENT,
                trusted: true,
            };
            let answer = app.ports.net.fetch(request).await;
            let asked = match &answer {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => answer.retry_after,
                Ok(_) | Err(NetError::Forbidden(_) | NetError::TooLong(_)) => return answer,
                Err(NetError::Timeout(_) | NetError::Unreachable(..)) => None,
            };
            let Some(wait) = waits.next() else { return answer };
            let wait = asked.map_or(wait, |seconds| Duration::from_secs(seconds).clamp(wait, PATIENCE));
            tracing::warn!(plc.url = %self.url, wait_ms = wait.as_millis(), "directory did not answer well, trying again");
            app.ports.net.sleep(wait).await;
        }
    }
}

/// 503: the directory does not answer.
fn unavailable(problem: impl std::fmt::Display) -> Error {
    Error::new(
        http::StatusCode::SERVICE_UNAVAILABLE,
        "PlcUnavailable",
        "The did:plc directory does not answer; nothing was changed here. Try again in a minute.",
    )
    .because(problem.to_string())
}
