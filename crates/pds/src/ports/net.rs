//! Requests to other origins. The host guards against private addresses, caps sizes and times.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::time::Duration;

/// Methods the core uses towards other origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// HTTP GET.
    Get,
    /// HTTP POST with a JSON body.
    Post,
}

/// A request to another origin. Redirects are not followed.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// GET or POST.
    pub method: Method,
    /// Absolute `http` or `https` URL.
    pub url: String,
    /// JSON body of a POST.
    pub body: Option<Bytes>,
    /// Whole time allowed, connecting included.
    pub timeout: Duration,
    /// A longer answer is refused, in bytes.
    pub max_response: usize,
    /// True when the operator named this origin (the PLC directory, a relay): loopback and private
    /// addresses are then allowed. False for anything a stranger can steer.
    pub trusted: bool,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// HTTP status code.
    pub status: u16,
    /// Seconds from a `Retry-After` header given in seconds.
    pub retry_after: Option<u64>,
    /// The body, at most `max_response` bytes.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address is private, loopback, link-local or otherwise not public, or the URL is not http(s).
    #[error("refused to contact {0}: not a public address")]
    Forbidden(String),
    /// No answer in time.
    #[error("no answer in time from {0}")]
    Timeout(String),
    /// The answer is longer than allowed.
    #[error("answer from {0} is too long")]
    TooLong(String),
    /// Connection, TLS or protocol failure.
    #[error("could not reach {0}: {1}")]
    Unreachable(String, String),
}

/// The outside world.
pub trait Net: Send + Sync {
    /// Sends `request` and collects the answer.
    fn fetch(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, NetError>>;
    /// TXT records of `name`, each joined from its strings; no such name is an empty list.
    fn txt(&self, name: String) -> BoxFuture<'_, Result<Vec<String>, NetError>>;
    /// Waits; only for back-off between attempts.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}
