//! Blobs as others see them.

use super::blobs::{NOTE, content, put, stored};
use crate::agent::{GET_BLOB, LIST_BLOBS, MISSING_BLOBS, TestAgent, cid_of};
use crate::answer::Answer;
use crate::target::{Target, query_string, text};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `getBlob` with headers.
async fn get(agent: &TestAgent, method: &str, cid: &str, headers: &[(&str, &str)]) -> Answer {
    let url =
        format!("{}?{}", agent.target.xrpc(GET_BLOB), query_string(&[("did", &agent.did), ("cid", cid)]));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    agent.target.send(method, &url, &headers, Bytes::new()).await
}

/// A page that somebody uploads does not run in the server's origin. It is not compressed either.
pub async fn a_blob_is_never_rendered(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let bytes = [b"<!DOCTYPE html><script>alert(1)</script>", &content(5000)[..]].concat();
    let cid = cid_of(&stored(&agent, "text/html", bytes.clone()).await);
    let got = get(&agent, "GET", &cid, &[("accept-encoding", "gzip")]).await;
    assert_eq!((got.status, got.body == bytes), (200, true));
    for (name, value) in [
        ("content-type", "text/html"),
        ("content-length", &bytes.len().to_string()),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("content-disposition", &format!("attachment; filename=\"{cid}\"")),
        ("etag", &format!("\"{cid}\"")),
        ("accept-ranges", "bytes"),
        ("content-encoding", ""),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let exposed = got.header("access-control-expose-headers").to_ascii_lowercase();
    for name in ["etag", "content-range", "content-length"] {
        assert!(exposed.contains(name), "{name} is not exposed: {exposed}");
    }
}

/// RFC 9110, section 14.
pub async fn ranges_are_parts_of_the_whole(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let bytes: Vec<u8> =
        [content(16).to_vec(), (0..200_000_u32).flat_map(u32::to_be_bytes).collect()].concat();
    let cid = cid_of(&stored(&agent, "a/b", bytes.clone()).await);
    let (size, etag) = (bytes.len(), format!("\"{cid}\""));
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=16-99", 16, 100),
        ("bytes=65530-200000", 65_530, 200_001),
        ("bytes=800000-", 800_000, size),
        ("bytes=-5", size - 5, size),
        ("bytes=800000-99999999999999999999", 800_000, size),
    ] {
        for headers in [vec![("range", range)], vec![("range", range), ("if-range", etag.as_str())]] {
            let got = get(&agent, "GET", &cid, &headers).await;
            assert_eq!(got.status, 206, "{got}");
            assert!(got.body == bytes[from..to], "{range}: other bytes");
            assert_eq!(got.header("content-range"), format!("bytes {from}-{}/{size}", to - 1));
            assert_eq!(got.header("content-length"), (to - from).to_string());
            assert_eq!(
                (got.header("x-content-type-options"), got.header("etag")),
                ("nosniff", etag.as_str())
            );
        }
    }
    for headers in [
        vec![("range", "bytes=0-1,5-6")],
        vec![("range", "bytes=5-2")],
        vec![("range", "lines=0-1")],
        vec![("range", "bytes=0-1"), ("if-range", "\"other\"")],
    ] {
        let got = get(&agent, "GET", &cid, &headers).await;
        assert_eq!((got.status, got.body == bytes), (200, true), "{headers:?}");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let got = get(&agent, "GET", &cid, &[("range", &range)]).await;
        got.refused(416, "InvalidRequest");
        assert_eq!(got.header("content-range"), format!("bytes */{size}"));
    }
}

/// RFC 9110, section 13.1.2.
pub async fn a_blob_that_is_known_is_not_sent_again(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let cid = cid_of(&stored(&agent, "a/b", content(1000)).await);
    for known in [format!("\"{cid}\""), format!("\"x\", W/\"{cid}\""), "*".to_owned()] {
        let got = get(&agent, "GET", &cid, &[("if-none-match", &known), ("range", "bytes=0-1")]).await;
        assert_eq!((got.status, got.body.len()), (304, 0), "{got}");
        assert_eq!(got.header("etag"), format!("\"{cid}\""));
    }
    assert_eq!(get(&agent, "GET", &cid, &[("if-none-match", "\"x\"")]).await.status, 200);
}

/// The same headers, and nothing else.
pub async fn a_head_is_a_get_without_its_body(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let cid = cid_of(&stored(&agent, "text/plain", content(5000)).await);
    let (got, head) =
        (get(&agent, "GET", &cid, &[]).await, get(&agent, "HEAD", &cid, &[("range", "bytes=0-1")]).await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in
        ["content-length", "content-type", "etag", "x-content-type-options", "content-security-policy"]
    {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!(get(&agent, "HEAD", &cid, &[("if-none-match", "*")]).await.status, 304);
}

/// Pages of `listBlobs` until there is no cursor.
async fn listed(agent: &TestAgent, limit: &str, since: Option<&str>) -> Vec<String> {
    let (mut cids, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..100 {
        let mut params = vec![("did", agent.did.as_str()), ("limit", limit)];
        params.extend(since.map(|since| ("since", since)));
        params.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = agent.target.query(LIST_BLOBS, &params).await.ok();
        let found: Vec<String> = serde_json::from_value(page["cids"].clone()).unwrap();
        assert!(found.len() <= limit.parse().unwrap());
        cids.extend(found);
        match page.get("cursor").and_then(Value::as_str) {
            Some(next) => cursor = Some(next.to_owned()),
            None => return cids,
        }
    }
    panic!("the pages do not end: {cids:?}");
}

/// What is referred to is listed once, in an order; what is not is not.
pub async fn blobs_are_listed_page_by_page_and_since_a_revision(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    assert!(listed(&agent, "5", None).await.is_empty());
    let mut early = BTreeSet::new();
    for _ in 0..7 {
        early.insert(cid_of(&stored(&agent, "a/b", content(20)).await));
    }
    let twice = agent.upload(Some("a/b"), content(20)).await;
    put(&agent, "one", twice.clone()).await.ok();
    let (_, since) = agent.head().await;
    put(&agent, "two", twice.clone()).await.ok();
    let late = cid_of(&stored(&agent, "a/b", content(20)).await);
    agent.upload(Some("a/b"), content(20)).await;
    let newer: BTreeSet<_> = [cid_of(&twice), late].into();
    let all: BTreeSet<_> = early.union(&newer).cloned().collect();
    for limit in ["1", "2", "9", "1000"] {
        let cids = listed(&agent, limit, None).await;
        assert_eq!(cids.len(), all.len(), "{cids:?}");
        assert_eq!(cids.into_iter().collect::<BTreeSet<_>>(), all);
        assert_eq!(listed(&agent, limit, Some(&since)).await.into_iter().collect::<BTreeSet<_>>(), newer);
    }
    let (_, now) = agent.head().await;
    assert!(listed(&agent, "10", Some(&now)).await.is_empty());
    agent.delete(NOTE, "two").await.unwrap();
    assert_eq!(listed(&agent, "1000", None).await.len(), all.len());
    agent.delete(NOTE, "one").await.unwrap();
    assert!(!listed(&agent, "1000", None).await.contains(&cid_of(&twice)));
    for (name, value) in [("limit", "0"), ("limit", "1001"), ("since", "yesterday"), ("cursor", "x")] {
        let params = [("did", agent.did.as_str()), (name, value)];
        target.query(LIST_BLOBS, &params).await.refused(400, "InvalidRequest");
    }
}

/// Only the agent asks for its missing blobs; who has all of them misses none.
pub async fn missing_blobs_are_the_agents_own_business(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    stored(&agent, "a/b", content(20)).await;
    assert_eq!(agent.ask(MISSING_BLOBS, &[("limit", "10")]).await.ok(), json!({"blobs": []}));
    target.query(MISSING_BLOBS, &[]).await.refused(401, "AuthRequired");
    agent.ask(MISSING_BLOBS, &[("limit", "1001")]).await.refused(400, "InvalidRequest");
}

/// By the names of the lexicons.
pub async fn reads_of_what_is_not_there_are_refused_by_name(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let cid = cid_of(&stored(&agent, "a/b", content(20)).await);
    let nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    target.query(GET_BLOB, &[("did", nobody), ("cid", &cid)]).await.refused(400, "RepoNotFound");
    target.query(LIST_BLOBS, &[("did", nobody)]).await.refused(400, "RepoNotFound");
    let (head, _) = agent.head().await;
    let missing = agent.get_blob(&head).await;
    assert_eq!(text(&missing.refused(400, "BlobNotFound").json(), "message"), "Blob not found");
    for bad in ["", "x", "bafkrei"] {
        agent.get_blob(bad).await.refused(400, "InvalidRequest");
    }
    target.query(GET_BLOB, &[("cid", &cid)]).await.refused(400, "InvalidRequest");
}
