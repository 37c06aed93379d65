//! An answer that is not a success, taken apart.

use crate::clock;
use crate::error::{Error, clean};
use crate::origin::Origin;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use serde::Deserialize;
use std::time::Duration;

/// What the server said when it refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) message: String,
    /// The `error` parameter of the DPoP challenge (RFC 9449, section 7.1).
    pub(crate) challenge: Option<String>,
    /// A nonce came along (RFC 9449, section 9).
    pub(crate) has_nonce: bool,
    /// The server's clock in Unix seconds. `None` from a cache, whose `Date` is old.
    pub(crate) date: Option<i64>,
    retry_after: Option<Duration>,
}

#[derive(Default, Deserialize)]
struct Body {
    error: Option<String>,
    message: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let parsed = serde_json::from_slice::<Body>(body).unwrap_or_default();
        let message = parsed.message.unwrap_or_else(|| explain(status, body));
        let date = text(header::DATE).filter(|_| !headers.contains_key(header::AGE));
        Self {
            status: status.as_u16(),
            error: clean(parsed.error.as_deref().unwrap_or("Unknown")),
            message: clean(&message),
            challenge: text(header::WWW_AUTHENTICATE).and_then(challenge_error).map(str::to_owned),
            has_nonce: headers.contains_key("dpop-nonce"),
            date: date.and_then(clock::parse_http_date),
            retry_after: text(header::RETRY_AFTER).and_then(retry_after),
        }
    }

    /// True when the DPoP challenge or the error's own name is `code`.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.error == code || self.challenge.as_deref() == Some(code)
    }

    pub(crate) fn into_error(self, origin: &Origin) -> Error {
        if self.status == 401 && self.is("tos_changed") {
            return Error::TermsChanged { origin: origin.to_string() };
        }
        Error::Xrpc {
            status: self.status,
            error: self.error,
            message: self.message,
            retry_after: self.retry_after,
        }
    }
}

/// What to say when the server gave no message.
fn explain(status: StatusCode, body: &[u8]) -> String {
    let reason = status.canonical_reason().unwrap_or("no reason given");
    match std::str::from_utf8(body) {
        Ok(text) if !text.trim().is_empty() && text.len() <= 300 => {
            format!("{reason}: {}", text.trim())
        }
        _ => reason.to_owned(),
    }
}

/// The `error` parameter of a `DPoP` challenge.
fn challenge_error(challenge: &str) -> Option<&str> {
    let (_, parameters) = challenge.split_once("DPoP")?;
    let (_, value) = parameters.split_once("error=\"")?;
    value.split('"').next()
}

/// Seconds, or a date from now on.
fn retry_after(value: &str) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(clock::parse_http_date(value)? - clock::now()).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(headers: &[(&'static str, &str)], body: &str) -> Refusal {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Refusal::new(StatusCode::UNAUTHORIZED, &map, body.as_bytes())
    }

    #[test]
    fn the_challenge_names_the_fault() {
        let header = [("www-authenticate", "DPoP error=\"invalid_dpop_proof\", algs=\"RS256\"")];
        assert!(refusal(&header, "").is("invalid_dpop_proof"));
        assert!(!refusal(&[("www-authenticate", "DPoP algs=\"RS256\"")], "").is("invalid_dpop_proof"));
    }

    #[test]
    fn changed_terms_are_an_error_of_their_own() {
        let origin = Origin::parse("http://localhost").unwrap();
        let error = refusal(&[], r#"{"error":"tos_changed","message":"m"}"#).into_error(&origin);
        assert!(matches!(error, Error::TermsChanged { .. }));
    }

    #[test]
    fn a_body_that_is_no_xrpc_error_still_gives_a_message() {
        assert_eq!(refusal(&[], "<html>").message, "Unauthorized: <html>");
        assert_eq!(refusal(&[], "").message, "Unauthorized");
        assert_eq!(refusal(&[], "[1]").error, "Unknown");
    }

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_date_out_of_a_cache_is_not_the_servers_clock() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(refusal(&[date], "").date, Some(784_111_777));
        assert_eq!(refusal(&[date, ("age", "5")], "").date, None);
    }
}
