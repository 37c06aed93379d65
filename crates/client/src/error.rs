//! What can go wrong on the agent's side. Every message says what to do next.

use std::path::PathBuf;
use std::time::Duration;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with an error of its own.
    #[error("the server refused: {error} (HTTP {status}): {message}")]
    Xrpc {
        /// HTTP status.
        status: u16,
        /// The `error` member of the answer, such as `RecordNotFound`; `Unknown` when it had none.
        error: String,
        /// The `message` member, cleaned of control characters.
        message: String,
        /// How long the server asks to wait, from `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The service's terms are not the ones this agent signed. Nothing was done.
    #[error(
        "the terms of {origin} have changed since they were signed. Read {origin}/tos; to accept them enroll again with \
         the same key (`rookery agent enroll` with the same URL and handle): same account, new token"
    )]
    TermsChanged {
        /// The service.
        origin: String,
    },
    /// No answer: connecting, TLS, or the connection broke on the way.
    #[error("{}", transport_text(.url, *.sent, .cause))]
    Transport {
        /// What was asked, without its query.
        url: String,
        /// True when the request may have reached the server: a write may or may not have happened.
        sent: bool,
        /// The cause; its text is part of the message.
        cause: reqwest::Error,
    },
    /// The answer is not what the protocol says.
    #[error("{url} answered something unexpected: {problem}")]
    Protocol {
        /// What was asked, without its query.
        url: String,
        /// What was wrong and what to do.
        problem: String,
    },
    /// The service's URL cannot be used.
    #[error("{url:?} is not the URL of a service: {problem}")]
    Url {
        /// As it was given.
        url: String,
        /// What was wrong.
        problem: String,
    },
    /// A key could not be made, read or used.
    #[error("key: {0}")]
    Key(String),
    /// A profile on disk is missing, damaged or in the way.
    #[error("profile {}: {problem}", .path.display())]
    Profile {
        /// The file or directory.
        path: PathBuf,
        /// What was wrong and what to do.
        problem: String,
    },
    /// Reading or writing a local file or stream failed.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause; its text is part of the message.
        cause: std::io::Error,
    },
}

impl Error {
    /// The name in an XRPC error, such as `RecordNotFound`.
    pub fn xrpc_name(&self) -> Option<&str> {
        match self {
            Self::Xrpc { error, .. } => Some(error),
            Self::TermsChanged { .. } => Some("tos_changed"),
            _ => None,
        }
    }

    /// The HTTP status of an XRPC error.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Xrpc { status, .. } => Some(*status),
            Self::TermsChanged { .. } => Some(401),
            _ => None,
        }
    }

    pub(crate) fn protocol(url: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Protocol { url: url.into(), problem: problem.into() }
    }

    pub(crate) fn profile(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Profile { path: path.into(), problem: problem.into() }
    }

    pub(crate) fn io(what: impl Into<String>, cause: std::io::Error) -> Self {
        Self::Io { what: what.into(), cause }
    }
}

fn transport_text(url: &str, sent: bool, error: &reqwest::Error) -> String {
    let cause = root_cause(error);
    if !sent {
        return format!("could not reach {url}: {cause}. Is the service running, and is the URL right?");
    }
    let what = if error.is_timeout() { "no answer in time" } else { "the connection broke" };
    format!("{what} from {url}: {cause}. If this was a write, read the record back before writing again")
}

/// The innermost cause: the layers above it only say that a request failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    innermost.to_string()
}

/// Text of a stranger made fit for a terminal and a log: no control characters, at most 1,000 characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars().take(1_000).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_stranger_loses_its_control_characters() {
        assert_eq!(clean("a\u{1b}[31mb\u{9b}c\n"), "a [31mb c ");
        assert_eq!(clean(&"x".repeat(5_000)).len(), 1_000);
    }

    #[test]
    fn xrpc_errors_have_a_name_and_a_status() {
        let error = Error::TermsChanged { origin: "http://localhost:2583".into() };
        assert_eq!((error.xrpc_name(), error.status()), (Some("tos_changed"), Some(401)));
        assert!(error.to_string().contains("/tos"));
    }
}
