//! A relay on the loopback: the test sees each request for a crawl, and decides what is answered and when.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Silence after which a test fails.
const SILENCE: Duration = Duration::from_secs(60);

/// A running relay; it ends with its test's runtime.
pub(crate) struct Relay {
    pub(crate) url: String,
    crawls: mpsc::UnboundedReceiver<Crawl>,
    status: Arc<Mutex<(StatusCode, Value)>>,
}

/// A request for a crawl, which waits for its answer. It hangs as long as this is kept.
pub(crate) struct Crawl {
    /// The body.
    pub(crate) body: Value,
    /// When it came.
    pub(crate) at: Instant,
    answer: oneshot::Sender<Response>,
}

#[derive(Clone)]
struct Shared {
    crawls: mpsc::UnboundedSender<Crawl>,
    status: Arc<Mutex<(StatusCode, Value)>>,
}

impl Relay {
    /// A relay that knows no host.
    pub(crate) async fn start() -> Self {
        let (sender, crawls) = mpsc::unbounded_channel();
        let unknown = (StatusCode::NOT_FOUND, json!({"error": "HostNotFound", "message": "host not found"}));
        let status = Arc::new(Mutex::new(unknown));
        let router = Router::new()
            .route("/xrpc/com.atproto.sync.requestCrawl", post(request_crawl))
            .route("/xrpc/com.atproto.sync.getHostStatus", get(host_status))
            .with_state(Shared { crawls: sender, status: Arc::clone(&status) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, crawls, status }
    }

    /// The next request for a crawl.
    pub(crate) async fn next_crawl(&mut self) -> Crawl {
        timeout(SILENCE, self.crawls.recv()).await.expect("a request for a crawl").unwrap()
    }

    /// Was it asked and nobody looked?
    pub(crate) fn was_asked(&mut self) -> bool {
        self.crawls.try_recv().is_ok()
    }

    /// What it knows of any host from now on.
    pub(crate) fn knows(&self, status: Value) {
        *self.status.lock().unwrap() = (StatusCode::OK, status);
    }
}

impl Crawl {
    /// The host to crawl.
    pub(crate) fn hostname(&self) -> &str {
        self.body["hostname"].as_str().unwrap()
    }

    /// Accepts it.
    pub(crate) fn accept(self) {
        self.answer.send(StatusCode::OK.into_response()).unwrap();
    }

    /// Answers an error.
    pub(crate) fn refuse(self, status: u16, headers: &[(&'static str, &str)], error: &str) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let body = json!({"error": error, "message": "said by the test"}).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        self.answer.send((status, headers, body).into_response()).unwrap();
    }
}

async fn request_crawl(State(relay): State<Shared>, body: String) -> Response {
    let (answer, answered) = oneshot::channel();
    let body = serde_json::from_str(&body).unwrap();
    relay.crawls.send(Crawl { body, at: Instant::now(), answer }).unwrap();
    // Nobody looks any more once the test is over.
    answered.await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

async fn host_status(State(relay): State<Shared>, uri: Uri) -> (StatusCode, String) {
    let hostname = uri.query().unwrap().strip_prefix("hostname=").unwrap().replace("%3A", ":");
    let (status, mut body) = relay.status.lock().unwrap().clone();
    if status == StatusCode::OK {
        body["hostname"] = hostname.into();
    }
    (status, body.to_string())
}
