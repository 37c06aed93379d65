//! A server without a store answers whoever belongs to no account in the words of one that has a store and no accounts.

use super::FOREVER;
use crate::blobs::Files;
use crate::clock::SystemClock;
use crate::config::Given;
use crate::entropy::SystemEntropy;
use crate::net::SystemNet;
use crate::sqlite::{Bounds, SqliteEngine};
use crate::terms;
use crate::verify::AwsLcVerify;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use rookery_pds::app::{App, Ports};
use rookery_pds::config::{Config, RotationKey};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::http::router;
use rookery_pds::ports::{Engine, Nothing};
use rookery_testkit::agent::signup_body;
use rookery_testkit::forge::Jwt;
use rookery_testkit::keys::TestKey;
use rookery_testkit::{Target, target};
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;

const ORIGIN: &str = "http://localhost:2583";
const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const MASTER: [u8; 32] = [7; 32];

pub(super) fn config() -> Config {
    let config = Given::default().settle(None).unwrap().core(2583).unwrap();
    Config { retention: FOREVER, rotation_key: RotationKey::Derived, ..config }
}

pub(super) fn ports(engine: Arc<dyn Engine>, dir: &Path) -> Ports {
    Ports {
        directory: Arc::new(StoreDirectory::new(Arc::clone(&engine))),
        engine,
        blobs: Arc::new(Files::open(&dir.join("blobs")).unwrap()),
        net: Arc::new(SystemNet::default()),
        verify: Arc::new(AwsLcVerify::new()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        terms: terms::source(None),
    }
}

fn over_nothing(dir: &Path) -> Router {
    let app = App::without_accounts(config(), ports(Arc::new(Nothing), dir), &MASTER).unwrap();
    router(app, Router::new())
}

async fn over_a_store(dir: &Path) -> Router {
    let engine = Arc::new(SqliteEngine::open(&dir.join("test.db"), Bounds::default()).unwrap());
    let app = App::open(config(), ports(engine, dir), &MASTER).await.unwrap();
    router(app, Router::new())
}

async fn answer(router: &Router, request: &Asked) -> (StatusCode, HeaderMap, Bytes) {
    let mut built = Request::builder().method(request.method).uri(&request.target);
    for (name, value) in &request.headers {
        built = built.header(*name, value);
    }
    let request = built.body(Body::from(request.body.clone())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

#[derive(Debug)]
struct Asked {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Asked {
    fn bare(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: String::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Every read, with what it needs and without.
fn reads() -> Vec<Asked> {
    let mut asked = Vec::new();
    for path in [
        "/",
        "/tos",
        "/.well-known/welcome.md",
        "/.well-known/did.json",
        "/nowhere",
        "/xrpc/",
        "/xrpc/com.example.none",
    ] {
        asked.push(Asked::bare("GET", path));
        asked.push(Asked::bare("POST", path));
        asked.push(Asked::bare("OPTIONS", path).with("origin", "https://example.com"));
    }
    asked.push(Asked::bare("GET", "/.well-known/atproto-did").with("host", "alice.test"));
    for suffix in ["", "/data", "/log", "/log/audit", "/log/last", "/none"] {
        asked.push(Asked::bare("GET", format!("/{DID}{suffix}")));
    }
    let nsids = [
        "identity.resolveHandle",
        "server.describeServer",
        "repo.getRecord",
        "repo.listRecords",
        "repo.describeRepo",
        "repo.createRecord",
        "repo.listMissingBlobs",
        "sync.getRepo",
        "sync.getLatestCommit",
        "sync.getRepoStatus",
        "sync.getBlob",
        "sync.listBlobs",
        "sync.getBlocks",
        "sync.getRecord",
        "sync.listRepos",
        "sync.listReposByCollection",
    ];
    let cid = "bafkreicvocr46arap4otkljm72rylpslyczlsqkpmbv2u32v3nqlemxsee";
    let record = "collection=com.example.a&rkey=self";
    for nsid in nsids {
        for query in [
            String::new(),
            format!("?did={DID}&repo={DID}&cid={cid}&cids={cid}&handle=alice.test&{record}"),
            format!("?did={DID}&repo=alice.test&{record}"),
            "?did=x&repo=x&handle=x&collection=x&limit=x&cursor=x".to_owned(),
            format!("?did={DID}&did={DID}"),
            "?%".to_owned(),
        ] {
            asked.push(Asked::bare("GET", format!("/xrpc/com.atproto.{nsid}{query}")));
        }
    }
    asked
}

/// Every write, by somebody who does it right and is not enrolled, and by those who do it wrong.
fn writes(key: &TestKey, terms: &[u8]) -> Vec<Asked> {
    let mut asked = Vec::new();
    // Ahead of the second of the start.
    let now = target::now() + 2;
    let token = Jwt::token(key, terms, ORIGIN).sign(key);
    for (method, name) in [
        ("POST", "createRecord"),
        ("POST", "putRecord"),
        ("POST", "deleteRecord"),
        ("POST", "applyWrites"),
        ("POST", "uploadBlob"),
        ("GET", "listMissingBlobs"),
    ] {
        let path = format!("/xrpc/com.atproto.repo.{name}");
        let bare = || Asked::bare(method, path.clone()).with("content-type", "application/json");
        let proof = |at: i64| {
            Jwt::proof(key, method, &format!("{ORIGIN}{path}"), Some(&token)).claim("iat", at).sign(key)
        };
        let authorized = || bare().with("authorization", format!("DPoP {token}"));
        asked.push(bare());
        asked.push(authorized());
        asked.push(authorized().with("dpop", "x"));
        asked.push(authorized().with("dpop", proof(now)).with("dpop", proof(now)));
        asked.push(authorized().with("dpop", proof(1_000)));
        asked.push(bare().with("dpop", proof(now)));
        asked.push(bare().with("dpop", proof(now)).with("authorization", "Bearer x"));
        asked.push(authorized().with("dpop", proof(now)));
    }
    let signup = || Asked::bare("POST", "/api/signup").with("content-type", "application/json");
    let proof = || Jwt::proof(key, "POST", &format!("{ORIGIN}/api/signup"), None).claim("iat", now).sign(key);
    let mut good = signup_body(&Target::new(ORIGIN), key, terms, "alice.elsewhere.example");
    asked.push(signup());
    asked.push(signup().with("dpop", "x"));
    asked.push(signup().with("dpop", proof()));
    asked.push(Asked { body: good.to_string(), ..signup().with("dpop", proof()) });
    good["tos_signature"] = "AAAA".into();
    asked.push(Asked { body: good.to_string(), ..signup().with("dpop", proof()) });
    asked
}

#[tokio::test]
async fn requests_that_belong_to_no_account_are_answered_as_by_a_server_without_accounts() {
    let (nothing, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (nothing, store) = (over_nothing(nothing.path()), over_a_store(store.path()).await);
    let terms = answer(&nothing, &Asked::bare("GET", "/tos")).await.2;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for asked in reads().into_iter().chain(writes(&TestKey::p256(), &terms)) {
        let (left, right) = (answer(&nothing, &asked).await, answer(&store, &asked).await);
        assert_eq!(left, right, "{asked:?}");
        *statuses.entry(left.0.as_u16()).or_default() += 1;
    }
    assert!(!statuses.contains_key(&500), "{statuses:?}");
    for status in [200, 400, 401, 404, 405, 501] {
        assert!(statuses.contains_key(&status), "{status}: {statuses:?}");
    }
    assert_eq!(answer(&nothing, &Asked::bare("GET", "/xrpc/_health")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_would_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let router = over_nothing(dir.path());
    let terms = answer(&router, &Asked::bare("GET", "/tos")).await.2;
    let key = TestKey::ed25519();
    let body = signup_body(&Target::new(ORIGIN), &key, &terms, "alice").to_string();
    let proof = Jwt::proof(&key, "POST", &format!("{ORIGIN}/api/signup"), None).sign(&key);
    let asked =
        Asked::bare("POST", "/api/signup").with("content-type", "application/json").with("dpop", proof);
    let (status, _, body) = answer(&router, &Asked { body, ..asked }).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
}

#[tokio::test]
async fn stores_under_one_master_key_derive_one_rotation_key() {
    let mut keys = Vec::new();
    for _ in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let router = over_a_store(dir.path()).await;
        let terms = answer(&router, &Asked::bare("GET", "/tos")).await.2;
        let key = TestKey::ed25519();
        let body = signup_body(&Target::new(ORIGIN), &key, &terms, "alice").to_string();
        let proof = Jwt::proof(&key, "POST", &format!("{ORIGIN}/api/signup"), None).sign(&key);
        let asked =
            Asked::bare("POST", "/api/signup").with("content-type", "application/json").with("dpop", proof);
        let (_, _, body) = answer(&router, &Asked { body, ..asked }).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let data = Asked::bare("GET", format!("/{}/data", target::text(&body, "did")));
        let data: serde_json::Value = serde_json::from_slice(&answer(&router, &data).await.2).unwrap();
        keys.push(data["rotationKeys"].clone());
    }
    assert!(keys[0].as_array().is_some_and(|keys| keys.len() == 1), "{keys:?}");
    assert_eq!(keys[0], keys[1]);
}
