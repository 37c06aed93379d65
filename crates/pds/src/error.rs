//! The one error of the server: an XRPC error is exactly `{status, name, message}`.
//!
//! The message is for the client and says what to do next. `source` is for the log only; it is written once,
//! where the error becomes a response.

use crate::limits::Standing;
use crate::ports::{DirectoryError, EngineError, EntropyError, SqlError};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use rookery_atproto::syntax::SyntaxError;
use std::borrow::Cow;
use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What a failed request answers.
#[derive(Debug)]
pub struct Error {
    /// HTTP status.
    pub status: StatusCode,
    /// The `error` member, from the lexicon where it names one.
    pub name: &'static str,
    /// The `message` member.
    pub message: Cow<'static, str>,
    /// `error` parameter of the `WWW-Authenticate: DPoP` challenge (RFC 9449, section 7.1).
    challenge: Option<&'static str>,
    /// The limit that was exceeded.
    limited: Option<Box<Standing>>,
    /// For the log.
    source: Option<Source>,
}

/// Result of anything that can fail a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a status and a name of its own.
    pub fn new(status: StatusCode, name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, name, message: message.into(), challenge: None, limited: None, source: None }
    }

    /// 400 with a name from the lexicon.
    pub fn named(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, name, message)
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the DPoP challenge with its `error` parameter.
    #[must_use]
    pub fn challenge(mut self, code: &'static str) -> Self {
        self.challenge = Some(code);
        self
    }

    /// Adds the headers of the limit that was exceeded.
    #[must_use]
    pub(crate) fn limited(mut self, standing: Standing) -> Self {
        self.limited = Some(Box::new(standing));
        self
    }
}

/// 400 `InvalidRequest`.
pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Error {
    Error::named("InvalidRequest", message)
}

/// 500; the client learns nothing of the cause.
pub fn internal(source: impl Into<Source>) -> Error {
    Error::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "The server failed; nothing was changed. Try again, and tell the operator if it stays so.",
    )
    .because(source)
}

/// 400 `RepoNotFound`.
pub fn repo_not_found(did: impl fmt::Display) -> Error {
    Error::named(
        "RepoNotFound",
        format!("Could not find repo: {did}. No account with that DID or handle is hosted here."),
    )
}

/// 400 `RecordNotFound`; clients match the first words of the text.
pub fn record_not_found(
    repo: impl fmt::Display,
    collection: impl fmt::Display,
    rkey: impl fmt::Display,
) -> Error {
    Error::named("RecordNotFound", format!("Could not locate record: at://{repo}/{collection}/{rkey}"))
}

/// 400 `InvalidSwap`.
pub fn invalid_swap(message: impl Into<Cow<'static, str>>) -> Error {
    Error::named("InvalidSwap", message)
}

/// 429 `RateLimitExceeded`, for places that are taken. Limits on rates word their own.
pub fn too_many(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded", message)
}

/// 503 `Overloaded`.
pub fn overloaded(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "Overloaded", message)
}

/// 413 `PayloadTooLarge`.
pub fn payload_too_large(limit: usize) -> Error {
    Error::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "PayloadTooLarge",
        format!(
            "The request body is larger than {limit} bytes, the limit of this endpoint. Send less at a time."
        ),
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.name, self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "StorageFull",
                "The server's disk is full; nothing was changed. Try again later.",
            )
            .because(error),
            other => internal(other),
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Sql(error) => error.into(),
            EngineError::Overloaded => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Overloaded",
                "The server has more writes waiting than it takes; nothing was changed. Try again in a second.",
            )
            .because(error),
            EngineError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ShuttingDown",
                "The server is shutting down; nothing was changed. Try again in a few seconds.",
            )
            .because(error),
        }
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(error) => error.into(),
            DirectoryError::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "DirectoryUnavailable",
                "The directory of accounts does not answer at the moment. Send the same request again in a minute.",
            )
            .because(error),
        }
    }
}

impl From<EntropyError> for Error {
    fn from(error: EntropyError) -> Self {
        internal(error)
    }
}

impl From<SyntaxError> for Error {
    fn from(error: SyntaxError) -> Self {
        invalid_request(error.to_string())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status.as_u16();
        // A bound that strangers have reached is no failure: they could fill the log with it.
        let at_a_bound = self.status == StatusCode::SERVICE_UNAVAILABLE && self.source.is_none();
        if self.status == StatusCode::NOT_IMPLEMENTED || at_a_bound || !self.status.is_server_error() {
            tracing::debug!(status, error.name = self.name, error.message = %self.message, "request refused");
        } else {
            let cause = self.source.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(status, error.name = self.name, error.cause = %cause, "request failed");
        }
        let body = serde_json::json!({ "error": self.name, "message": self.message }).to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge_header(self.challenge));
        }
        match self.limited {
            Some(standing) => standing.refuse(response.headers_mut()),
            // Places are free again as soon as somebody is done.
            None if matches!(
                self.status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
            ) =>
            {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            None => {}
        }
        response
    }
}

/// RFC 9449, section 7.1: the scheme, why, and the algorithms taken.
fn challenge_header(code: Option<&'static str>) -> HeaderValue {
    let algs = "algs=\"RS256 ES256 EdDSA\"";
    let text = match code {
        Some(code) => format!("DPoP error=\"{code}\", {algs}"),
        None => format!("DPoP {algs}"),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("DPoP"))
}
