//! What a host answered, and what it must have been.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// One answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request, for messages.
    pub what: String,
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The JSON of a 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self}");
        self.json()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let kind = self.header("content-type");
        assert!(kind.starts_with("application/json"), "not JSON by its Content-Type {kind:?}: {self}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("not UTF-8: {self}"))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A member of an error's JSON.
    fn member(&self, name: &str) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body.get(name)?.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The `error` of a refusal; empty where there is none.
    pub fn error(&self) -> String {
        self.member("error")
    }

    /// The `message` of a refusal; empty where there is none.
    pub fn message(&self) -> String {
        self.member("message")
    }

    /// Asserts an XRPC error of this status and name with a message.
    #[track_caller]
    pub fn refused(&self, status: u16, name: &str) -> &Self {
        self.refused_with(status);
        assert_eq!(self.error(), name, "{self}");
        self
    }

    /// Asserts an XRPC error of this status, whatever its name.
    #[track_caller]
    pub fn refused_with(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self}");
        let body = self.json();
        let text = |name: &str| body.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        assert!(text("error") && text("message"), "an error has `error` and `message`: {self}");
        self
    }

    /// Asserts a 401 with the challenge `DPoP error="code"` (RFC 9449 section 7.1).
    #[track_caller]
    pub fn challenged(&self, code: &str) -> &Self {
        self.refused_with(401);
        let challenge = self.header("www-authenticate");
        assert!(
            challenge.starts_with("DPoP ") && challenge.contains(&format!("error=\"{code}\"")),
            "expected WWW-Authenticate: DPoP error=\"{code}\", found {challenge:?}: {self}"
        );
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(600).collect();
        write!(f, "{} answered {} {body}", self.what, self.status)
    }
}
