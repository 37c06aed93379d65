//! Bodies that are more than they seem.

use super::{Line, limited};
use crate::server::block_on;
use futures_util::future::select_all;
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{APPLY, CREATE, DELETE, PUT, UPLOAD, record};
use rookery_testkit::forge::Jwt;
use serde_json::json;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const NOTE: &str = "com.example.bodies";
const JSON: &str = "application/json";
const HANGING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// 1 MiB of zeros by gzip, a thousandth of its size, up to the trailer: as bad as a body gets for who unpacks it.
const BOMB: &[u8] =
    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xed, 0xc1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xfe, 0xaf, 0xee, 8, 0x0a];

#[test]
fn a_compressed_body_is_never_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        let agent = TestAgent::enroll(target).await;
        let head = agent.head().await;
        let signup = format!("{}/api/signup", target.url);
        let urls = [CREATE, PUT, DELETE, APPLY, UPLOAD].map(|nsid| target.xrpc(nsid));
        for url in urls.iter().chain([&signup]) {
            for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"] {
                let token = (*url != signup).then_some(agent.token.as_str());
                let proof = Jwt::proof(&agent.key, "POST", url, token).sign(&agent.key);
                let authorization = format!("DPoP {}", agent.token);
                let headers = [
                    ("authorization", authorization.as_bytes()),
                    ("dpop", proof.as_bytes()),
                    ("content-type", JSON.as_bytes()),
                    ("content-encoding", encoding.as_bytes()),
                ];
                let answer = target.send("POST", url, &headers, BOMB.into()).await;
                answer.refused(415, "InvalidRequest");
                assert!(answer.message().contains("Content-Encoding"), "{answer}");
            }
        }
        assert_eq!(agent.head().await, head);
        // What says that it is not compressed is taken as it is, whatever it looks like.
        let blob = agent.upload(Some("application/gzip"), BOMB).await;
        assert_eq!(blob["size"], BOMB.len());
    });
}

/// Bytes that wait for the rest of their body are counted, not requests: the queue of writes would take a thousand of these.
#[test]
fn the_bodies_of_one_account_in_memory_are_bounded() {
    const WHOLE: usize = 4_000_000;
    const HALF: usize = 2_500_000;
    const BODIES: usize = 10;
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        let (agent, other) = (TestAgent::enroll(target).await, TestAgent::enroll(target).await);
        let mut lines = Vec::new();
        for _ in 0..BODIES {
            let proof = agent.proof(APPLY).sign(&agent.key);
            let mut request = format!(
                "POST /xrpc/{APPLY} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nDPoP: {proof}\r\n\
                 Authorization: DPoP {}\r\nContent-Length: {}\r\n\r\n",
                target.authority(),
                agent.token,
                WHOLE
            )
            .into_bytes();
            request.resize(request.len() + HALF, b' ');
            let mut line = Line::open(target).await;
            // Those that are refused stop taking it.
            let _ = line.send(&request).await;
            lines.push(line);
        }
        let answers = lines.iter_mut().map(|line| Box::pin(line.status()));
        let (first, ..) = timeout(HANGING, select_all(answers)).await.expect("some are refused");
        assert_eq!(first, Some(429));
        other.create(NOTE, json!({})).await;
        drop(lines);
        let again = async {
            // Mostly white space: much to read and little to write.
            let write = json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "value": record(NOTE, json!({}))});
            let body = json!({"repo": agent.did, "writes": [write]}).to_string() + &" ".repeat(WHOLE);
            while agent.post(APPLY, JSON, body.clone()).await.status != 200 {
                sleep(PAUSE).await;
            }
        };
        timeout(HANGING, again).await.expect("there is room again");
    });
}

#[test]
fn a_page_of_large_records_is_cut_and_goes_on() {
    const RECORDS: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        for _ in 0..RECORDS {
            agent.create(NOTE, json!({"text": "a".repeat(900_000)})).await;
        }
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let params =
                [("repo", agent.did.as_str()), ("collection", NOTE), ("limit", "100"), ("cursor", &cursor)];
            let answer = server.target.query("com.atproto.repo.listRecords", &params).await;
            let page = answer.ok();
            assert!(answer.body.len() < 6_000_000, "{} bytes", answer.body.len());
            listed.extend(page["records"].as_array().unwrap().iter().map(|record| record["uri"].to_string()));
            match page["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(listed.len(), RECORDS);
        assert!(listed.is_sorted_by(|a, b| a > b), "each once, newest first: {listed:?}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn bodies_that_nest_or_are_full_of_small_things_take_little_memory() {
    /// Bytes that the server may grow by.
    const GROWTH: usize = 200 * 1024 * 1024;
    /// As much as `createRecord` takes, with the rest of the body.
    const SIZE: usize = 2 * 1024 * 1024 - 300;
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        let agent = TestAgent::enroll(target).await;
        agent.create(NOTE, json!({})).await;
        let (head, before) = (agent.head().await, server.peak_memory());
        let many = |item: &str| format!("[{}0]", item.repeat(SIZE / item.len()));
        for (what, value) in [
            ("open arrays", "[".repeat(SIZE)),
            ("nested arrays", format!("{}{}", "[".repeat(SIZE / 2), "]".repeat(SIZE / 2))),
            ("nested objects", format!("{}1{}", r#"{"a":"#.repeat(SIZE / 6), "}".repeat(SIZE / 6))),
            ("empty arrays", many("[],")),
            ("empty objects", many("{},")),
            ("numbers", many("0,")),
            ("escapes", format!("\"{}\"", "\\u0000".repeat(SIZE / 6))),
        ] {
            let did = &agent.did;
            let body = format!(
                r#"{{"repo":"{did}","collection":"{NOTE}","record":{{"$type":"{NOTE}","x":{value}}}}}"#
            );
            let answer = agent.post(CREATE, JSON, body).await;
            // Some are records like any other, as far as the data model goes.
            assert!(matches!(answer.status, 200 | 400), "{what}: {answer}");
        }
        let grown = server.peak_memory() - before;
        assert!(grown < GROWTH, "{grown} bytes");
        assert_ne!(
            agent.call(CREATE, json!({"collection": NOTE, "record": record(NOTE, json!({}))})).await.status,
            500
        );
        assert_ne!(agent.head().await, head);
    });
}
