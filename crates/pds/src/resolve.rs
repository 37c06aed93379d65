//! Handles to DIDs (handle spec, "Handle Resolution").

use crate::app::App;
use crate::config::limits;
use crate::error::Result;
use crate::ports::{HttpRequest, Method};
use crate::store::account::Status;
use rookery_atproto::syntax::{Did, Handle};
use std::time::Duration;

/// Time for each of DNS and HTTPS.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Top-level domains that never resolve (handle spec, "Additional Non-Syntax Restrictions").
const NOWHERE: [&str; 9] =
    ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

/// The DID of a handle: of an account here, else what DNS or the handle's own web server says. `None` when nothing does.
pub(crate) async fn handle(app: &App, handle: &Handle) -> Result<Option<Did>> {
    if let Some(holder) = app.ports.directory.resolve(handle).await? {
        return Ok((holder.status == Status::Active).then_some(holder.did));
    }
    let top = handle.as_str().rsplit('.').next().unwrap_or_default();
    if app.config.handle_domain.contains(handle) || NOWHERE.contains(&top) {
        return Ok(None);
    }
    if let Some(did) = by_dns(app, handle).await {
        return Ok(Some(did));
    }
    Ok(by_https(app, handle).await)
}

/// `TXT _atproto.<handle>`: exactly one `did=` value.
async fn by_dns(app: &App, handle: &Handle) -> Option<Did> {
    let records = app.ports.net.txt(format!("_atproto.{handle}.")).await;
    let records = records.inspect_err(|error| tracing::debug!(%handle, %error, "DNS did not answer")).ok()?;
    let mut dids = records.iter().filter_map(|record| record.strip_prefix("did="));
    match (dids.next(), dids.next()) {
        (Some(did), None) => Did::parse(did).ok(),
        _ => None,
    }
}

/// `https://<handle>/.well-known/atproto-did`.
async fn by_https(app: &App, handle: &Handle) -> Option<Did> {
    let request = HttpRequest {
        method: Method::Get,
        url: format!("https://{handle}/.well-known/atproto-did"),
        body: None,
        timeout: TIMEOUT,
        max_response: limits::HANDLE_DOCUMENT,
        trusted: false,
    };
    let answer = app.ports.net.fetch(request).await;
    let answer = answer.inspect_err(|error| tracing::debug!(%handle, %error, "HTTPS did not answer")).ok()?;
    if answer.status != 200 {
        return None;
    }
    Did::parse(std::str::from_utf8(&answer.body).ok()?.trim()).ok()
}
