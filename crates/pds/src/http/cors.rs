//! Cross-origin requests: open, as any public server of the network is. No cookie is ever used here, so an origin gains
//! nothing that it does not have already.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "DPoP-Nonce, WWW-Authenticate, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy, \
     Content-Length, Content-Range, Accept-Ranges, Content-Disposition, ETag, atproto-repo-rev",
);
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, DPoP, DPoP-Nonce, WWW-Authenticate, Accept-Language, atproto-accept-labelers, atproto-proxy",
);

/// Answers preflights and marks every answer as readable from anywhere.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let preflight = request.method() == Method::OPTIONS;
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    if preflight {
        allow(response.headers_mut(), asked);
    } else {
        open(response.headers_mut());
    }
    response
}

/// Marks an answer as readable from anywhere.
pub(super) fn open(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Allows what was asked for, as the reference does, or the usual headers when nothing was named.
fn allow(headers: &mut HeaderMap, asked: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers
        .insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
}
