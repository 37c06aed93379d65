//! Blobs from upload to release.

use crate::agent::{APPLY, CREATE, DELETE, PUT, TestAgent, UPLOAD, cid_of, record};
use crate::answer::Answer;
use crate::keys::unique;
use crate::raw;
use crate::target::Target;
use bytes::Bytes;
use futures_util::future::join_all;
use rookery_atproto::data::Cid;
use serde_json::{Value, json};

pub(super) const NOTE: &str = "com.example.blobs";
/// The beginning of every PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// Bytes that nobody has uploaded before.
pub(super) fn content(length: usize) -> Bytes {
    let mut bytes = unique().into_bytes();
    bytes.resize(length.max(bytes.len()), b'.');
    bytes.into()
}

/// Puts a record with a value of its own; the answer.
pub(super) async fn put(agent: &TestAgent, rkey: &str, value: Value) -> Answer {
    let record = record(NOTE, json!({"value": value}));
    agent.call(PUT, json!({"collection": NOTE, "rkey": rkey, "record": record})).await
}

/// Uploads new bytes and refers to them from a new record; the blob object.
pub(super) async fn stored(agent: &TestAgent, mime_type: &str, bytes: impl Into<Bytes>) -> Value {
    let blob = agent.upload(Some(mime_type), bytes).await;
    put(agent, &unique(), blob.clone()).await.ok();
    blob
}

/// The answer names what was sent; the bytes are served from the reference on, exactly as they were.
pub async fn an_upload_is_served_once_a_record_refers_to_it(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    for bytes in [content(1), content(70_000), content(3_000_001)] {
        let blob = agent.upload(Some("application/x-test"), bytes.clone()).await;
        let cid = Cid::raw(&bytes).to_string();
        let expected = json!({
            "$type": "blob", "ref": {"$link": cid}, "mimeType": "application/x-test", "size": bytes.len(),
        });
        assert_eq!(blob, expected);
        agent.get_blob(&cid).await.refused(400, "BlobNotFound");
        put(&agent, &unique(), json!([{"deep": blob}])).await.ok();
        let got = agent.get_blob(&cid).await;
        assert_eq!((got.status, got.header("content-type")), (200, "application/x-test"), "{got}");
        assert!(got.body == bytes, "other bytes");
    }
}

/// Two records share it; replaced and deleted records let go of it. Within its grace it can be referred to again.
pub async fn a_blob_lasts_as_long_as_any_record_refers_to_it(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let (one, two) =
        (agent.upload(Some("a/one"), content(100)).await, agent.upload(Some("a/two"), content(100)).await);
    let served = async |expected: [bool; 2]| {
        for (blob, expected) in [&one, &two].into_iter().zip(expected) {
            let got = agent.get_blob(&cid_of(blob)).await;
            assert_eq!(got.status == 200, expected, "{got}");
        }
    };
    put(&agent, "x", one.clone()).await.ok();
    put(&agent, "y", json!([one, one, two])).await.ok();
    served([true, true]).await;
    agent.delete(NOTE, "x").await.unwrap();
    served([true, true]).await;
    put(&agent, "y", two.clone()).await.ok();
    served([false, true]).await;
    // Another revision of the record that refers to the same.
    put(&agent, "y", json!({"text": "x", "two": two})).await.ok();
    served([false, true]).await;
    agent.delete(NOTE, "y").await.unwrap();
    served([false, false]).await;
    put(&agent, "z", json!([two, one])).await.ok();
    served([true, true]).await;
}

/// Nothing of the write happens when one of its blobs is not what the record says.
pub async fn a_reference_must_match_the_upload(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let blob = agent.upload(Some("image/png"), content(50)).await;
    put(&agent, "kept", json!("before")).await.ok();
    let head = agent.head().await;
    let with = |name: &str, value: Value| {
        let mut blob = blob.clone();
        blob[name] = value;
        blob
    };
    let unknown = Cid::raw(&content(10)).to_string();
    for (wrong, name) in [
        (with("ref", json!({"$link": unknown})), "BlobNotFound"),
        (with("size", json!(51)), "InvalidSize"),
        (with("mimeType", json!("image/jpeg")), "InvalidMimeType"),
        (with("mimeType", json!("IMAGE/PNG")), "InvalidMimeType"),
        (json!([blob, with("mimeType", json!("image/gif"))]), "InvalidMimeType"),
    ] {
        put(&agent, "kept", wrong.clone()).await.refused(400, name);
        let new = json!({"collection": NOTE, "record": record(NOTE, json!({"wrong": wrong}))});
        agent.call(CREATE, new).await.refused(400, name);
    }
    let too_many: Vec<Value> =
        (0..501_u32).map(|n| with("ref", json!({"$link": Cid::raw(&n.to_be_bytes()).to_string()}))).collect();
    assert!(put(&agent, "kept", json!(too_many)).await.status == 400);
    assert_eq!(agent.head().await, head);
    agent.get_blob(&cid_of(&blob)).await.refused(400, "BlobNotFound");
    put(&agent, "kept", blob.clone()).await.ok();
    assert_eq!(agent.get_blob(&cid_of(&blob)).await.status, 200);
}

/// In one commit a blob changes hands, or none of it happens.
pub async fn a_batch_refers_to_blobs_as_a_whole(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let blob = agent.upload(Some("a/b"), content(50)).await;
    let (cid, missing) = (
        cid_of(&blob),
        json!({"$type": "blob", "ref": {"$link": Cid::raw(b"missing").to_string()}, "mimeType": "a/b", "size": 7}),
    );
    let write = |kind: &str, rkey: &str, value: &Value| json!({"$type": format!("{APPLY}#{kind}"), "collection": NOTE, "rkey": rkey, "value": record(NOTE, json!({"v": value}))});
    let delete = |rkey: &str| json!({"$type": format!("{APPLY}#delete"), "collection": NOTE, "rkey": rkey});
    let head = agent.head().await;
    agent
        .call(APPLY, json!({"writes": [write("create", "a", &blob), write("create", "b", &missing)]}))
        .await
        .refused(400, "BlobNotFound");
    assert_eq!(agent.head().await, head);
    agent.get_blob(&cid).await.refused(400, "BlobNotFound");
    agent.call(APPLY, json!({"writes": [write("create", "b", &blob)]})).await.ok();
    // From one record to another, before it and after it in the order of paths.
    for (from, to) in [("b", "a"), ("a", "c")] {
        agent.call(APPLY, json!({"writes": [delete(from), write("create", to, &blob)]})).await.ok();
        assert_eq!(agent.get_blob(&cid).await.status, 200, "moved to {to}");
    }
    // Only what is there in the end counts: neither the write that is overtaken, nor its blobs.
    let overtaken = [
        write("create", "d", &missing),
        write("update", "d", &json!("no blob")),
        write("update", "c", &json!("none")),
    ];
    agent.call(APPLY, json!({"writes": overtaken})).await.ok();
    agent.get_blob(&cid).await.refused(400, "BlobNotFound");
}

/// The same bytes are another blob in another account.
pub async fn a_blob_is_its_accounts_own(target: &Target) {
    let (owner, other) = (TestAgent::enroll(target).await, TestAgent::enroll(target).await);
    let bytes = content(1000);
    let blob = stored(&owner, "text/plain", bytes.clone()).await;
    put(&other, "x", blob.clone()).await.refused(400, "BlobNotFound");
    other.get_blob(&cid_of(&blob)).await.refused(400, "BlobNotFound");
    let own = stored(&other, "text/html", bytes.clone()).await;
    assert_eq!(cid_of(&own), cid_of(&blob));
    assert_eq!(other.get_blob(&cid_of(&own)).await.header("content-type"), "text/html");
    assert_eq!(owner.get_blob(&cid_of(&own)).await.header("content-type"), "text/plain");
}

/// What the header says counts; bytes are looked at where it says nothing.
pub async fn types_are_taken_from_the_header_or_found_out(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let png = || [PNG, &content(20)].concat();
    for (header, bytes, expected) in [
        (Some("Image/JPEG; q=1"), png(), "image/jpeg"),
        (None, png(), "image/png"),
        (Some("*/*"), png(), "image/png"),
        (Some("*/*"), [b"GIF89a", &content(20)[..]].concat(), "image/gif"),
        (None, content(20).to_vec(), "application/octet-stream"),
        (Some("*/*"), content(9000).to_vec(), "application/octet-stream"),
        (Some("application/vnd.example+json"), b"{".to_vec(), "application/vnd.example+json"),
    ] {
        let blob = agent.upload(header, bytes).await;
        assert_eq!(blob["mimeType"], expected, "{header:?}");
    }
    for header in ["png", "image/*", "image/png, image/gif", "image/p\u{e9}ng", "a/b c"] {
        agent.try_upload(Some(header), content(20)).await.unwrap().refused(400, "InvalidRequest");
    }
}

/// The type can be put right until a record refers to it, and not after.
pub async fn an_upload_again_is_the_same_blob(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let bytes = content(300);
    let first = agent.upload(Some("a/one"), bytes.clone()).await;
    let second = agent.upload(Some("a/two"), bytes.clone()).await;
    assert_eq!(second, json!({"$type": "blob", "ref": first["ref"], "mimeType": "a/two", "size": 300}));
    put(&agent, "x", first).await.refused(400, "InvalidMimeType");
    put(&agent, "x", second.clone()).await.ok();
    assert_eq!(agent.upload(Some("a/three"), bytes.clone()).await, second);
    assert_eq!(agent.get_blob(&cid_of(&second)).await.header("content-type"), "a/two");
    // All at once.
    let racing = content(40_000);
    let blobs = join_all((0..6).map(|_| agent.upload(Some("a/b"), racing.clone()))).await;
    assert!(blobs.iter().all(|blob| *blob == blobs[0]), "{blobs:?}");
    put(&agent, "y", blobs[0].clone()).await.ok();
    assert_eq!(agent.get_blob(&cid_of(&blobs[0])).await.body, racing);
}

/// Without a proof, with one that was used, empty, compressed, cut short.
pub async fn bad_uploads_are_refused(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let url = target.xrpc(UPLOAD);
    target
        .send("POST", &url, &[("content-type", b"image/png")], content(10))
        .await
        .refused(401, "AuthRequired");
    agent.try_upload(Some("image/png"), Bytes::new()).await.unwrap().refused(400, "InvalidRequest");
    let proof = agent.proof(UPLOAD).sign(&agent.key);
    let authorization = format!("DPoP {}", agent.token);
    let headers = [("authorization", authorization.as_bytes()), ("dpop", proof.as_bytes())];
    target.send("POST", &url, &headers, content(10)).await.ok();
    target.send("POST", &url, &headers, content(10)).await.challenged("invalid_dpop_proof");
    let proof = agent.proof(UPLOAD).sign(&agent.key);
    let headers = [
        ("authorization", authorization.as_bytes()),
        ("dpop", proof.as_bytes()),
        ("content-encoding", b"gzip"),
    ];
    target.send("POST", &url, &headers, content(10)).await.refused_with(415);
    // A chunk that is announced and does not come, since the client has nothing more to say.
    let bytes = content(100);
    let head = head(&agent, "Transfer-Encoding: chunked");
    raw::send_and_hang_up(target, &[head.as_bytes(), b"64\r\n", &bytes, b"\r\n64\r\nhalf"].concat()).await;
    let gone = Cid::raw(&[&bytes[..], b"half"].concat()).to_string();
    agent.get_blob(&gone).await.refused(400, "BlobNotFound");
    target.send("GET", &url, &[], Bytes::new()).await.refused_with(405);
}

fn head(agent: &TestAgent, length: &str) -> String {
    format!(
        "POST /xrpc/{UPLOAD} HTTP/1.1\r\nHost: {}\r\nContent-Type: a/b\r\nAuthorization: DPoP {}\r\nDPoP: {}\r\n{length}\r\n\r\n",
        agent.target.authority(),
        agent.token,
        agent.proof(UPLOAD).sign(&agent.key),
    )
}

/// 413 as soon as the length is known; the limit is told.
pub async fn uploads_that_are_too_large_are_not_read(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let described = target.query("com.atproto.server.describeServer", &[]).await.ok();
    let limit = described["blobUploadLimit"].as_u64().expect("blobUploadLimit");
    // Nothing of the body is ever sent: a host that wanted to read it would wait for ever.
    for length in [limit + 1, 1 << 50] {
        let request = head(&agent, &format!("Content-Length: {length}"));
        raw::exchange(target, request.as_bytes()).await.refused(413, "PayloadTooLarge");
    }
    // A stranger's body is not waited for either.
    let request = format!(
        "POST /xrpc/{UPLOAD} HTTP/1.1\r\nHost: {}\r\nContent-Type: a/b\r\nContent-Length: 1000\r\n\r\n",
        target.authority()
    );
    raw::exchange(target, request.as_bytes()).await.refused(401, "AuthRequired");
}

/// From many agents, some of them with the same bytes.
pub async fn many_uploads_at_once_are_all_kept(target: &Target) {
    let agents = join_all((0..8).map(|_| TestAgent::enroll(target))).await;
    let shared = content(200_000);
    join_all(agents.iter().map(|agent| async {
        let own = content(100_000);
        let (one, two) =
            tokio::join!(stored(agent, "a/b", shared.clone()), stored(agent, "a/b", own.clone()));
        assert_eq!(agent.get_blob(&cid_of(&one)).await.body, shared);
        assert_eq!(agent.get_blob(&cid_of(&two)).await.body, own);
    }))
    .await;
    // The end of one account's reference is nobody else's.
    let records = agents[0]
        .target
        .query("com.atproto.repo.listRecords", &[("repo", &agents[0].did), ("collection", NOTE)])
        .await
        .ok();
    for record in records["records"].as_array().unwrap() {
        let rkey = record["uri"].as_str().unwrap().rsplit('/').next().unwrap();
        agents[0].call(DELETE, json!({"collection": NOTE, "rkey": rkey})).await.ok();
    }
    let cid = Cid::raw(&shared).to_string();
    agents[0].get_blob(&cid).await.refused(400, "BlobNotFound");
    assert_eq!(agents[1].get_blob(&cid).await.body, shared);
}
