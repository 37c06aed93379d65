//! Requests and responses, from the runtime's to the core's and back.

use axum::body::Body;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use rookery_pds::config::networks::Networks;
use rookery_pds::limits::ClientAddress;
use std::net::IpAddr;
use worker::js_sys::Array;
use worker::wasm_bindgen::JsCast;
use worker::{FixedLengthStream, Headers, ResponseBuilder, Url, web_sys, worker_sys};

/// Who sends a request, as the platform saw it. Nobody else can set it there.
const CONNECTING: HeaderName = HeaderName::from_static("cf-connecting-ip");

/// A request for the core, in an object: limits by address are the edge's.
pub(crate) fn request(raw: &web_sys::Request) -> Result<Request<Body>, String> {
    Ok(Request::from_parts(parts(raw, None)?, body(raw)))
}

/// The head of a request, with the address of whoever sends it unless that is exempt; without a list all are. The error says
/// what is wrong with it.
pub(crate) fn parts(raw: &web_sys::Request, exempt: Option<&Networks>) -> Result<Parts, String> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = raw.method().parse().map_err(|_| "The method is not one of HTTP.".to_owned())?;
    let url: Uri =
        raw.url().parse().map_err(|_| "The URL has characters that must be percent-encoded.".to_owned())?;
    parts.uri = url.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")).into();
    headers(raw, &mut parts)?;
    let address = parts.headers.get(CONNECTING).and_then(|value| value.to_str().ok()?.parse::<IpAddr>().ok());
    if let Some(address) = address.filter(|address| exempt.is_some_and(|exempt| !exempt.contain(*address))) {
        parts.extensions.insert(ClientAddress(address));
    }
    Ok(parts)
}

/// True when an object sees the same path as is seen here. The runtime resolves `..` and the like on the way there.
pub(crate) fn keeps_path(raw: &web_sys::Request, parts: &Parts) -> bool {
    Url::parse(&raw.url()).is_ok_and(|url| url.path() == parts.uri.path())
}

/// The body of a request. It can be taken once, and not be handed on any more then.
pub(crate) fn body(raw: &web_sys::Request) -> Body {
    raw.body().map_or_else(Body::empty, |stream| Body::new(worker::Body::new(stream)))
}

fn headers(raw: &web_sys::Request, parts: &mut Parts) -> Result<(), String> {
    let wrong = || "A header has characters that HTTP does not allow.".to_owned();
    for entry in raw.headers().entries() {
        let entry: Array = entry.map_err(|_| wrong())?.unchecked_into();
        let name = entry.get(0).as_string().and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        // Each character stands for a byte, or for some that were no text.
        let bytes =
            |text: String| -> Vec<u8> { text.chars().map(|it| u8::try_from(it).unwrap_or(0xff)).collect() };
        let value = entry.get(1).as_string().map(bytes);
        let value = value.and_then(|value| HeaderValue::from_bytes(&value).ok());
        parts.headers.append(name.ok_or_else(wrong)?, value.ok_or_else(wrong)?);
    }
    Ok(())
}

/// A response for the runtime. One whose length is known says so: a stream that breaks off is then seen to be incomplete.
pub(crate) async fn response(response: Response<Body>) -> worker::Result<worker::Response> {
    let (parts, body) = response.into_parts();
    let headers = Headers::new();
    for (name, value) in &parts.headers {
        let value: String = value.as_bytes().iter().copied().map(char::from).collect();
        headers.append(name.as_str(), &value)?;
    }
    let builder = ResponseBuilder::new().with_status(parts.status.as_u16()).with_headers(headers);
    if body.is_end_stream() || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(builder.empty());
    }
    // It is there as a whole.
    if body.size_hint().exact().is_some() {
        let bytes =
            body.collect().await.map_err(|error| worker::Error::RustError(error.to_string()))?.to_bytes();
        return Ok(builder.fixed(bytes.into()));
    }
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let chunks = body
        .into_data_stream()
        .map_ok(Vec::from)
        .map_err(|error| worker::Error::RustError(error.to_string()));
    match length {
        Some(length) => {
            let stream: worker_sys::FixedLengthStream = FixedLengthStream::wrap(chunks, length).into();
            Ok(builder.stream(stream.readable()))
        }
        None => builder.from_stream(chunks),
    }
}
