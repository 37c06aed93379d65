//! The host under test.

use crate::answer::Answer;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Silence after which a host counts as hanging.
const SILENCE: Duration = Duration::from_secs(60);

/// A host, known by its URL.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its origin, without a trailing slash.
    pub url: String,
    /// The did:plc directory it registers with; the same origin where it is embedded.
    pub directory: String,
    http: Client,
}

impl Target {
    /// A host with its own directory at the root of its origin.
    pub fn new(url: &str) -> Self {
        Self::with_directory(url, url)
    }

    /// A host that registers with the directory at another URL.
    pub fn with_directory(url: &str, directory: &str) -> Self {
        let mut builder = Client::builder()
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none());
        if url.starts_with("https:") {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        } else {
            builder = builder.no_proxy().tls_backend_preconfigured(no_tls());
        }
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        Self { url: bare(url), directory: bare(directory), http: builder.build().unwrap() }
    }

    /// `host:port` of a plain http target, for [`crate::raw`].
    pub fn authority(&self) -> &str {
        self.url.strip_prefix("http://").expect("speaking bytes needs a plain http target")
    }

    /// The URL of an XRPC method.
    pub fn xrpc(&self, nsid: &str) -> String {
        format!("{}/xrpc/{nsid}", self.url)
    }

    /// A request with these headers and body. Panics when there is no answer.
    pub async fn send(&self, method: &str, url: &str, headers: &[(&str, &[u8])], body: Bytes) -> Answer {
        self.try_send(method, url, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {url}: {error:?}"))
    }

    /// The same, for hosts that may be stopped at any time.
    pub async fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &[u8])],
        body: Bytes,
    ) -> Result<Answer, reqwest::Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method.clone(), url).headers(map).body(body);
        let response = request.send().await?;
        Ok(Answer {
            what: format!("{method} {url}"),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// `GET` of a path, or of a whole URL.
    pub async fn get(&self, path: &str) -> Answer {
        let url = if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() };
        self.send("GET", &url, &[], Bytes::new()).await
    }

    /// An XRPC query.
    pub async fn query(&self, nsid: &str, params: &[(&str, &str)]) -> Answer {
        self.get(&format!("/xrpc/{nsid}?{}", query_string(params))).await
    }

    /// The exact bytes of the terms.
    pub async fn terms(&self) -> Bytes {
        let answer = self.get("/tos").await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.body
    }

    /// The domain of the handles given out here, with its leading dot.
    pub async fn handle_domain(&self) -> String {
        let described = self.query("com.atproto.server.describeServer", &[]).await.ok();
        described["availableUserDomains"][0].as_str().expect("availableUserDomains").to_owned()
    }

    /// Commit and revision of a repo: whatever it changes by.
    pub async fn head(&self, did: &str) -> (String, String) {
        let head = self.query("com.atproto.sync.getLatestCommit", &[("did", did)]).await.ok();
        (text(&head, "cid"), text(&head, "rev"))
    }
}

/// A text member that must be there.
#[track_caller]
pub fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text member {name:?} in {value}"))
        .to_owned()
}

/// Seconds since the epoch, as this machine has it.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Names and values, percent-encoded as far as needed.
pub fn query_string(params: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
                out.push(char::from(byte));
            } else {
                write!(out, "%{byte:02X}").unwrap();
            }
        }
    }
    out
}

/// Plain http needs no certificates, and a machine without any must still reach its own localhost.
fn no_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
