//! The layers around a small router of the test's own. The real one is tested black-box, over HTTP.

use super::layers::around;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::{get, post};
use http::{Request, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn answer(kind: &'static str, length: usize) -> Response {
    let handler = move || async move { ([(header::CONTENT_TYPE, kind)], "a".repeat(length)) };
    let service = around(Router::new().route("/", get(handler)));
    let request = Request::get("/").header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap();
    service.oneshot(request).await.unwrap()
}

#[tokio::test]
async fn long_text_is_compressed_and_nothing_else() {
    for (kind, length, compressed) in [
        ("application/json", 1024, true),
        ("application/json; charset=utf-8", 5000, true),
        ("text/markdown; charset=utf-8", 5000, true),
        ("application/json", 1023, false),
        ("application/vnd.ipld.car", 5000, false),
        ("image/png", 5000, false),
    ] {
        let answer = answer(kind, length).await;
        assert_eq!(answer.headers().contains_key(header::CONTENT_ENCODING), compressed, "{kind} {length}");
    }
}

#[tokio::test]
async fn a_panic_becomes_an_answer() {
    async fn handler() -> &'static str {
        if std::env::args().count() > 0 {
            panic!("on purpose");
        }
        ""
    }
    let service = around(Router::new().route("/", get(handler)));
    let answer = service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 500);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"], "InternalServerError");
}

#[tokio::test]
async fn a_connection_is_given_up_when_a_large_body_was_not_read() {
    async fn reads(body: axum::body::Bytes) -> String {
        body.len().to_string()
    }
    async fn ignores() -> &'static str {
        "no"
    }
    let router = Router::new().route("/reads", post(reads)).route("/ignores", post(ignores));
    let service = around(router);
    for (path, size, given_up) in [
        ("/reads", 100_000, false),
        ("/ignores", 100_000, true),
        ("/ignores", 1_000, false),
        ("/ignores", 0, false),
    ] {
        let request = Request::post(path).body(Body::from("a".repeat(size))).unwrap();
        let answer = service.clone().oneshot(request).await.unwrap();
        let close = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        assert_eq!(close, given_up, "{path} {size}");
    }
}
