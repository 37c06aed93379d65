//! Why a bucket did not do what it was asked for.

use reqwest::{Response, StatusCode};
use rookery_pds::ports::BlobError;
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of an error's XML that are looked at. Its code comes first.
const LOOKED_AT: usize = 4 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// One refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The store answered with an error.
    Answer {
        /// Of HTTP.
        status: StatusCode,
        /// Of S3, such as `NoSuchBucket`; empty where there is none.
        code: String,
    },
    /// There is no answer.
    Unreachable(String),
    /// There is none in time. Who waits for it has waited long enough.
    Late,
    /// The file cannot be read.
    File(io::Error),
}

impl Refusal {
    /// Reads an answer that is no success.
    pub(super) async fn read(mut response: Response) -> Self {
        let mut text = Vec::new();
        while text.len() < LOOKED_AT {
            let Ok(Ok(Some(chunk))) = timeout(PATIENCE, response.chunk()).await else { break };
            text.extend_from_slice(&chunk);
        }
        text.truncate(LOOKED_AT);
        Self::Answer { status: response.status(), code: code(&String::from_utf8_lossy(&text)) }
    }

    pub(super) fn no_ranges() -> Self {
        Self::Answer { status: StatusCode::OK, code: "it sent the whole object for a range".to_owned() }
    }

    /// True when the bucket is there and the object is not.
    pub(super) fn is_missing_object(&self) -> bool {
        // Any other 404 may come from whatever stands in front of the bucket, and says nothing of the object.
        matches!(self, Self::Answer { status: StatusCode::NOT_FOUND, code } if code == "NoSuchKey")
    }

    /// True when it may work next time.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Answer { status, .. } => {
                let full = *status == StatusCode::INSUFFICIENT_STORAGE;
                let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status);
                busy || (status.is_server_error() && !full)
            }
            Self::Unreachable(_) => true,
            Self::Late | Self::File(_) => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, code } => write!(f, "the bucket answered {} {code}", status.as_u16()),
            Self::Unreachable(why) => write!(f, "the bucket cannot be reached: {why}"),
            Self::Late => f.write_str("the bucket did not answer in time"),
            Self::File(error) => write!(f, "cannot read a blob: {error}"),
        }
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Unreachable(cause.to_string())
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Refusal> for BlobError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Answer { status: StatusCode::INSUFFICIENT_STORAGE, .. } => Self::Full(text),
            Refusal::Answer { .. } | Refusal::Unreachable(_) | Refusal::Late => Self::Unavailable(text),
            Refusal::File(_) => Self::Failed(text),
        }
    }
}

/// The text of `<Code>`.
fn code(xml: &str) -> String {
    let code = xml.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(String::new, |(code, _)| code.chars().take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_from_what_is_wrong() {
        let answer = |status, code: &str| Refusal::Answer { status, code: code.to_owned() };
        let xml = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>x</Message></Error>";
        assert!(answer(StatusCode::NOT_FOUND, &code(xml)).is_missing_object());
        assert!(!answer(StatusCode::NOT_FOUND, &code("not found")).is_missing_object());
        let no_bucket = answer(StatusCode::NOT_FOUND, "NoSuchBucket");
        assert!(!no_bucket.is_missing_object() && !no_bucket.may_pass());
        assert!(!answer(StatusCode::FORBIDDEN, "SignatureDoesNotMatch").may_pass());
        assert!(answer(StatusCode::SERVICE_UNAVAILABLE, "SlowDown").may_pass());
        let full = answer(StatusCode::INSUFFICIENT_STORAGE, "");
        assert!(!full.may_pass());
        assert!(matches!(BlobError::from(full), BlobError::Full(_)));
        assert!(matches!(BlobError::from(no_bucket), BlobError::Unavailable(_)));
    }
}
