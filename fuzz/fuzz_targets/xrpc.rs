//! Requests to the whole server: query strings, headers and bodies, through its router and over its own SQL.
//!
//! The input is text: a path with its query in the first line, then headers, and after an empty line a body; `{did}` is the
//! agent's DID. With a body it
//! is a POST of an agent that has an account here, so that its writes are let in. Whatever is asked for, the answer is not
//! that the server failed, an error says what is wrong in the form of XRPC, and the agent's repo verifies.
//!
//! Every request finds the same database: what it writes is taken back.

#![no_main]

#[path = "../../crates/native/src/sqlite/connection.rs"]
#[expect(dead_code, reason = "the database is in memory")]
mod connection;
#[path = "xrpc/host.rs"]
mod host;

use axum::body::Body;
use host::{Host, body_of, send};
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use rookery_atproto::car;
use rookery_atproto::repo::verify_repo;
use rookery_fuzz as _;
use std::sync::LazyLock;

static HOST: LazyLock<Host> = LazyLock::new(Host::start);

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = request(bytes) else { return };
    let path = request.uri().path().to_owned();
    let post = request.method() == http::Method::POST;
    let (status, body) = HOST.answer(request);
    let json = body_of(&body);
    // 502 and 503: what another server would have to do, which there is none of.
    let elsewhere = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE);
    let failed = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED && !elsewhere;
    assert!(!failed, "{path} is answered {status} {json}");
    if status.is_client_error() || status.is_server_error() {
        let text = |name: &str| json[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(text("error") && text("message"), "{path} is answered {status} {json}");
    }
    if post && status == StatusCode::OK {
        let (_, export) = send(HOST.router(), HOST.export());
        let export = car::read_all(&export).expect("an export");
        verify_repo(&export, &HOST.did, &HOST.key).expect("the repo after the request");
    }
    HOST.take_back();
});

/// The request that the input says, if there can be such a one.
fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let text = std::str::from_utf8(bytes).ok()?.replace("{did}", HOST.did.as_str());
    let (head, body) = match text.split_once("\n\n") {
        Some((head, body)) => (head, Some(body)),
        None => (text.as_str(), None),
    };
    let mut lines = head.lines();
    let target = lines.next()?;
    let mut request = Request::builder().uri(target);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    let Some(body) = body else { return request.body(Body::empty()).ok() };
    let path = target.split('?').next()?.to_owned();
    for (name, value) in HOST.credentials(&path) {
        request = request.header(name, value);
    }
    request.method("POST").body(Body::from(body.to_owned())).ok()
}
