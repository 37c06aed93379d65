//! From an HTTP request to a WebSocket (RFC 6455, section 4.2).

use super::Firehose;
use super::subscriber;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rookery_pds::error::{Error, invalid_request, too_many};
use rookery_pds::limits::{ClientAddress, address_key};
use rookery_pds::sequencer::cursor;
use std::sync::Arc;

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION: HeaderValue = HeaderValue::from_static("13");

pub(super) async fn handle(firehose: Arc<Firehose>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    match (accept(&parts), upgrade) {
        (Err(response), _) => response,
        (Ok(_), None) => upgrade_required(),
        (Ok(accept), Some(upgrade)) => switch(firehose, &parts, upgrade, accept).await,
    }
}

/// Checks the rest, and leaves the connection to a subscriber.
async fn switch(firehose: Arc<Firehose>, parts: &Parts, upgrade: OnUpgrade, accept: HeaderValue) -> Response {
    let cursor = match cursor(parts) {
        Ok(cursor) => cursor,
        Err(error) => return error.into_response(),
    };
    let address = parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| address_key(*address));
    let Ok(share) = firehose.shares.enter(address, 1) else {
        return too_many("This address has as many subscriptions open as one may have. Close one first.")
            .into_response();
    };
    let Ok(place) = Arc::clone(&firehose.places).try_acquire_owned() else {
        return full().into_response();
    };
    // Asked now, so that whoever gets no cursor sees every event after this answer.
    let start = match firehose.app.log.subscribe(cursor, firehose.bounds.lag).await {
        Ok(start) => start,
        Err(error) => return error.into_response(),
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => subscriber::serve(&firehose, TokioIo::new(upgraded), start).await,
            Err(error) => tracing::debug!(%error, "the connection ended before it was upgraded"),
        }
        drop((place, share));
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The answer to the key of a request that asks for a WebSocket, or what to answer instead.
#[expect(clippy::result_large_err, reason = "the error is the answer, made once a connection")]
fn accept(parts: &Parts) -> Result<HeaderValue, Response> {
    if parts.method != Method::GET {
        let text = "This is a subscription: connect with a WebSocket, which begins with GET.";
        return Err(Error::new(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequest", text).into_response());
    }
    let asks = has_token(&parts.headers, header::CONNECTION, "upgrade")
        && has_token(&parts.headers, header::UPGRADE, "websocket");
    if !asks || parts.headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(upgrade_required());
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if BASE64.decode(key).map_or(true, |nonce| nonce.len() != 16) {
        let text = "Sec-WebSocket-Key must be the base64 of 16 bytes.";
        return Err(invalid_request(text).into_response());
    }
    let accept = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID.as_bytes()].concat()).as_ref());
    HeaderValue::from_str(&accept).map_err(|_| upgrade_required())
}

/// True when a header that is a list has this word in it, in any case.
fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// 426: RFC 9110, section 15.5.22.
fn upgrade_required() -> Response {
    let text =
        "This is a subscription: connect with a WebSocket of version 13, at ws:// or wss:// instead of http.";
    let mut response = Error::new(StatusCode::UPGRADE_REQUIRED, "InvalidRequest", text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
    response
}

fn full() -> Error {
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TooManySubscribers",
        "As many are subscribed as this server takes. Try again later.",
    )
}
