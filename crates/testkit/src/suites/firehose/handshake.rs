//! From HTTP to a stream, and what a subscriber may say there.

use super::{Listener, NOTE};
use crate::answer::Answer;
use crate::firehose::Subscription;
use crate::firehose::subscribe::PATH;
use crate::raw;
use crate::target::Target;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const VERSION: &str = "Sec-WebSocket-Version";
const KEY: &str = "Sec-WebSocket-Key";
const HANGING: Duration = Duration::from_secs(60);
/// What every good handshake has.
const GOOD: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A handshake with other headers in place of the good ones, or without them where they are empty.
async fn handshake(target: &Target, method: &str, changes: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {PATH} HTTP/1.1\r\nHost: {}\r\n", target.authority());
    for (name, value) in GOOD {
        let value = changes.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, value)| value);
        if !value.is_empty() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    request.push_str("\r\n");
    raw::exchange(target, request.as_bytes()).await
}

/// 426 says what to do.
pub async fn a_plain_request_is_told_to_upgrade(target: &Target) {
    let plain = target.get(PATH).await;
    let with_cursor = target.get(&format!("{PATH}?cursor=0")).await;
    for answer in [plain, with_cursor] {
        answer.refused_with(426);
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = target.send(method, &format!("{}{PATH}", target.url), &[], Bytes::new()).await;
        answer.refused_with(405);
    }
}

/// RFC 6455, section 4.2.
pub async fn handshakes_that_are_wrong_are_refused(target: &Target) {
    for change in [("Upgrade", ""), ("Upgrade", "h2c")] {
        upgrade_required(&handshake(target, "GET", &[change]).await, &change);
    }
}

/// Other spellings of the same.
pub async fn handshakes_in_any_spelling_are_taken(target: &Target) {
    for changes in
        [&[("Connection", "keep-alive, Upgrade")][..], &[("Connection", "upgrade"), ("Upgrade", "WebSocket")]]
    {
        taken(target, changes).await;
    }
}

/// What only a host decides that reads HTTP itself: headers of the connection, methods, keys, other versions of the protocol, and
/// other protocols beside it (RFC 9110, section 7.8).
pub async fn handshakes_are_answered_to_the_letter(target: &Target) {
    let plain = target.get(PATH).await;
    assert!(plain.header("upgrade").eq_ignore_ascii_case("websocket"), "{plain}");
    assert!(plain.header("connection").to_ascii_lowercase().contains("upgrade"), "{plain}");
    let versions = ["", "8", "14", "x"].map(|version| (VERSION, version));
    for change in versions.into_iter().chain([("Connection", ""), ("Connection", "keep-alive")]) {
        upgrade_required(&handshake(target, "GET", &[change]).await, &change);
    }
    for value in ["", "x", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZQ==", "not base64 of 16 byte", "AAAA"] {
        let answer = handshake(target, "GET", &[(KEY, value)]).await;
        assert_eq!(answer.status, 400, "{value:?}: {answer}");
        answer.refused(400, "InvalidRequest");
    }
    handshake(target, "POST", &[]).await.refused_with(405);
    taken(target, &[("Upgrade", "h2c, websocket")]).await;
}

fn upgrade_required(answer: &Answer, change: &(&str, &str)) {
    assert_eq!(answer.status, 426, "{change:?}: {answer}");
    assert_eq!(answer.header("sec-websocket-version"), "13", "{change:?}");
    answer.refused_with(426);
}

/// The answer has no Content-Length and no body.
async fn taken(target: &Target, changes: &[(&str, &str)]) {
    let answer = handshake(target, "GET", changes).await;
    assert_eq!(answer.status, 101, "{changes:?}: {answer}");
    // RFC 6455, section 1.3: the answer to this key.
    assert_eq!(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/// Streams have one direction: data is ignored (event stream spec, "Framing"), pings are answered.
pub async fn what_subscribers_say_is_ignored_and_pings_are_answered(target: &Target) {
    let mut listener = Listener::new(target).await;
    for message in [
        Message::text("hello"),
        Message::binary(vec![0xa1; 1000]),
        Message::text(""),
        Message::Pong(Bytes::new()),
    ] {
        listener.stream.send(message).await.unwrap();
    }
    listener.nothing_came("what a subscriber said").await;
    for payload in ["", "are you there?", &"x".repeat(125)] {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        listener.stream.send(Message::Ping(payload.clone())).await.unwrap();
        assert_eq!(next_but_ping(&mut listener.stream).await, Message::Pong(payload));
    }
    listener.nothing_came("a ping").await;
    for _ in 0..2000 {
        listener.stream.send(Message::Ping(Bytes::from_static(b"again"))).await.unwrap();
    }
    listener.stream.send(Message::Ping(Bytes::from_static(b"enough"))).await.unwrap();
    // Of several only the last must be answered (RFC 6455, section 5.5.3).
    while let Message::Pong(payload) = next_but_ping(&mut listener.stream).await {
        if payload == "enough" {
            break;
        }
        assert_eq!(payload, "again");
    }
    listener.nothing_came("many pings").await;
}

/// The next message that is not the host asking whether we are there.
async fn next_but_ping(stream: &mut Subscription) -> Message {
    loop {
        let message = timeout(HANGING, stream.messages().next()).await.expect("no answer");
        match message.expect("the stream goes on").unwrap() {
            Message::Ping(_) => {}
            other => return other,
        }
    }
}

/// Nobody needs to read what a subscriber has to say, so nobody keeps it.
pub async fn a_subscriber_that_says_too_much_is_let_go(target: &Target) {
    for size in [100_000, 8_000_000] {
        let mut listener = Listener::new(target).await;
        // It may be gone before all is sent.
        let _ = listener.stream.send(Message::binary(vec![0; size])).await;
        let end = timeout(HANGING, async { while listener.stream.wait_bytes().await.is_ok() {} }).await;
        end.expect("a subscriber that sends without end is let go");
        listener.stream = Subscription::open(target, None).await;
        listener.agent.create(NOTE, json!({})).await;
        listener.commit().await;
    }
}

/// A close frame is answered.
pub async fn a_subscriber_may_leave(target: &Target) {
    let listener = Listener::new(target).await;
    listener.stream.close().await;
    for _ in 0..20 {
        drop(Subscription::open(target, Some(0)).await);
    }
    let mut listener = Listener::new(target).await;
    listener.nothing_came("those who left").await;
}
