//! What this host puts around the core's router: a log line per request, panics as answers, and compression.

use super::stall::{self, Rest};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header};
use hyper::body::Body as HttpBody;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use tower_http::CompressionLevel;
use tower_http::compression::{CompressionLayer, Predicate};

/// Shorter answers gain nothing.
const COMPRESSED_FROM: u64 = 1024;

/// The whole service.
pub(super) fn around(router: Router) -> Router {
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(LongText);
    router.layer(compression).layer(from_fn(catch_panic)).layer(from_fn(log))
}

async fn log(request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let method = request.method().clone();
    // Without the query, which may hold what is nobody's business.
    let path = request.uri().path().to_owned();
    let start = Instant::now();
    let response = next.run(request).await;
    let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status = response.status().as_u16(), duration_ms, "request");
    response
}

/// A panic is a bug; the others are served on.
async fn catch_panic(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (request, rest) = stall::bounded(request, stall::LIMIT);
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => closing(response, &rest),
        Err(_) => {
            tracing::error!(path, "a handler panicked");
            failed()
        }
    }
}

/// When an answer comes before the end of the request's body, the rest is not read, and the client is told so before it
/// sends another request after it.
fn closing(mut response: Response, rest: &Rest) -> Response {
    if rest.is_unread() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn failed() -> Response {
    let body = r#"{"error":"InternalServerError","message":"The server failed. Try again, and tell the operator if it stays so."}"#;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (StatusCode::INTERNAL_SERVER_ERROR, headers, body).into_response()
}

/// JSON and text of some length. A CAR is hashes and signatures: it does not get smaller, and its readers stream it.
#[derive(Clone, Copy)]
struct LongText;

impl Predicate for LongText {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        // What can be asked for in parts goes out as it is: offsets count the bytes themselves.
        if response.headers().contains_key(header::ACCEPT_RANGES) {
            return false;
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let text = kind.is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/"));
        text && response.body().size_hint().exact().is_none_or(|length| length >= COMPRESSED_FROM)
    }
}
