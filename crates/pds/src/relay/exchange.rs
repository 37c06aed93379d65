//! The two calls to a relay, and what its answers mean.

use super::schedule::Outcome;
use crate::ports::{HttpRequest, HttpResponse, Method, Net, NetError};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// Whole time of one call. A relay may connect to this server before it answers.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// What is encoded in a host's name: the colon before a port.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-');
/// Characters of a relay's own words that are passed on.
const MAX_WORDS: usize = 200;

/// What a relay knows of this server: `com.atproto.sync.getHostStatus`. What it does not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostStatus {
    /// `active`, `idle`, `offline`, `throttled`, `banned`, or a word that is newer than this program.
    pub(super) status: Option<String>,
    /// The newest event it has seen.
    pub(super) seq: Option<i64>,
    /// Accounts of this server that it knows.
    pub(super) accounts: Option<i64>,
}

/// Asks `relay` (an origin) to crawl `hostname`. What went wrong comes with the outcome, in words for the operator.
pub(super) async fn request_crawl(net: &dyn Net, relay: &str, hostname: &str) -> (Outcome, Option<String>) {
    let request = HttpRequest {
        method: Method::Post,
        url: format!("{relay}/xrpc/com.atproto.sync.requestCrawl"),
        body: Some(Bytes::from(json!({ "hostname": hostname }).to_string())),
        ..get(String::new())
    };
    read_crawl(net.fetch(request).await)
}

/// Reads what `relay` knows of `hostname`; none when it does not know it.
pub(super) async fn host_status(
    net: &dyn Net,
    relay: &str,
    hostname: &str,
) -> Result<Option<HostStatus>, String> {
    let encoded = utf8_percent_encode(hostname, ENCODED);
    let url = format!("{relay}/xrpc/com.atproto.sync.getHostStatus?hostname={encoded}");
    read_status(net.fetch(get(url)).await, hostname)
}

fn get(url: String) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        url,
        body: None,
        timeout: TIMEOUT,
        max_response: MAX_ANSWER,
        trusted: true,
    }
}

fn read_crawl(answer: Result<HttpResponse, NetError>) -> (Outcome, Option<String>) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return (Outcome::Failed(None), Some(error.to_string())),
    };
    let wait = answer.retry_after.map(Duration::from_secs);
    let outcome = match answer.status {
        200..300 => return (Outcome::Accepted, None),
        // The relay could not reach this server just now.
        400 | 404 if named(&answer, "HostNotFound") => Outcome::Failed(wait),
        501 => Outcome::Refused,
        408 | 425 | 429 | 500.. => Outcome::Failed(wait),
        _ => Outcome::Refused,
    };
    (outcome, Some(said(&answer)))
}

fn read_status(answer: Result<HttpResponse, NetError>, hostname: &str) -> Result<Option<HostStatus>, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    if named(&answer, "HostNotFound") {
        return Ok(None);
    }
    if answer.status != 200 {
        return Err(said(&answer));
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| "the answer of getHostStatus is not JSON".to_owned())?;
    let of = body.get("hostname").and_then(Value::as_str).unwrap_or_default();
    if !of.eq_ignore_ascii_case(hostname) {
        return Err(format!("getHostStatus was asked about {hostname} and answered about {:?}", plain(of)));
    }
    Ok(Some(HostStatus {
        status: body.get("status").and_then(Value::as_str).map(plain),
        seq: body.get("seq").and_then(Value::as_i64),
        accounts: body.get("accountCount").and_then(Value::as_i64),
    }))
}

fn named(answer: &HttpResponse, name: &str) -> bool {
    answer.status >= 400 && member(answer, "error").is_some_and(|error| error == name)
}

/// A refusal in a line.
fn said(answer: &HttpResponse) -> String {
    let words: Vec<String> = ["error", "message"].iter().filter_map(|name| member(answer, name)).collect();
    let hint = match answer.status {
        300..400 => ": it redirects; name the origin that it redirects to",
        404 | 405 | 501 if words.is_empty() => ": is it a relay?",
        _ => "",
    };
    let words = if words.is_empty() { String::new() } else { format!(": {}", words.join(": ")) };
    format!("it answered {}{words}{hint}", answer.status)
}

/// A text member of an error.
fn member(answer: &HttpResponse, name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body.get(name)?.as_str().map(plain).filter(|text| !text.is_empty())
}

/// Others' words, fit for a log and a health report.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<HttpResponse, NetError> {
        Ok(HttpResponse { status, retry_after: None, body: Bytes::from_static(body.as_bytes()) })
    }

    #[test]
    fn answers_to_request_crawl_are_accepted_tried_again_or_final() {
        let failed = Outcome::Failed(None);
        for (status, body, expected, words) in [
            (200, "", Outcome::Accepted, ""),
            (204, "not JSON", Outcome::Accepted, ""),
            (400, r#"{"error":"HostBanned","message":"no"}"#, Outcome::Refused, "400: HostBanned: no"),
            (401, r#"{"error":"DomainBan"}"#, Outcome::Refused, "401: DomainBan"),
            (403, "<html>", Outcome::Refused, "403"),
            (404, "", Outcome::Refused, "is it a relay?"),
            (501, r#"{"error":"MethodNotImplemented"}"#, Outcome::Refused, "MethodNotImplemented"),
            (302, "", Outcome::Refused, "redirects"),
            (
                400,
                r#"{"error":"HostNotFound","message":"host server unreachable"}"#,
                failed,
                "host server unreachable",
            ),
            (400, r#"{"error":7,"message":["x"]}"#, Outcome::Refused, "400"),
            (429, "", failed, "429"),
            (502, "", failed, "502"),
        ] {
            let (outcome, problem) = read_crawl(answer(status, body));
            assert_eq!(outcome, expected, "{status} {body}");
            assert_eq!(problem.is_none(), outcome == Outcome::Accepted);
            assert!(problem.as_deref().unwrap_or_default().contains(words), "{problem:?}");
        }
        let slow = HttpResponse { status: 503, retry_after: Some(7), body: Bytes::new() };
        assert_eq!(read_crawl(Ok(slow)).0, Outcome::Failed(Some(Duration::from_secs(7))));
        assert_eq!(read_crawl(Err(NetError::Timeout("x".to_owned()))).0, failed);
    }

    #[test]
    fn a_status_is_read_as_far_as_it_is_understood() {
        let read = |status, body| read_status(answer(status, body), "pds.example.com");
        let full = r#"{"hostname":"PDS.example.com","seq":12,"accountCount":3,"status":"active","more":[1]}"#;
        assert_eq!(
            read(200, full),
            Ok(Some(HostStatus { status: Some("active".to_owned()), seq: Some(12), accounts: Some(3) }))
        );
        let odd = r#"{"hostname":"pds.example.com","seq":"12","accountCount":1e99,"status":"dormant"}"#;
        let dormant = HostStatus { status: Some("dormant".to_owned()), ..HostStatus::default() };
        assert_eq!(read(200, odd), Ok(Some(dormant)));
        for status in [400, 404] {
            assert_eq!(read(status, r#"{"error":"HostNotFound","message":"host not found"}"#), Ok(None));
        }
        for (status, body) in [
            (200, "nonsense"),
            (200, "[]"),
            (200, r#"{"hostname":"other.example.com"}"#),
            (404, ""),
            (500, r#"{"error":"DatabaseError"}"#),
        ] {
            assert!(read(status, body).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn the_words_of_others_are_short_and_on_one_line() {
        let long = format!(r#"{{"error":"Bad\n\u001b[31m","message":"{}"}}"#, "x".repeat(5_000));
        let (_, problem) = read_crawl(Ok(HttpResponse { status: 400, retry_after: None, body: long.into() }));
        let problem = problem.unwrap();
        assert!(problem.len() < 300 && !problem.contains(char::is_control), "{problem}");
    }
}
