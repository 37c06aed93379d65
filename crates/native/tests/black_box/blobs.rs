//! Blobs with an eye on where they are kept: what is collected, what is left, how much there may be.

use crate::server::{Server, block_on, serve};
use bytes::Bytes;
use rookery_testkit::agent::{MISSING_BLOBS, PUT, cid_of, record};
use rookery_testkit::keys::unique;
use rookery_testkit::{Answer, Target, TestAgent};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const NOTE: &str = "com.example.blobs";
const PAUSE: Duration = Duration::from_millis(20);
/// What has not happened after so long does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a setting.
fn start_with(dir: &Path, name: &str, value: &str) -> Server {
    let mut command = serve(dir);
    command.env(name, value);
    Server::run(command)
}

/// The database, beside a server that uses it.
pub(crate) fn database(dir: &Path) -> Connection {
    let database = Connection::open(dir.join("rookery.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database
}

fn count(dir: &Path, table: &str) -> i64 {
    database(dir).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Keys of the objects that are there.
pub(crate) fn objects(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(dir.join("blobs/objects")).unwrap() {
        let folder = folder.unwrap().path();
        for object in fs::read_dir(&folder).unwrap() {
            let name = object.unwrap().file_name();
            let folder = folder.file_name().unwrap().to_string_lossy();
            found.insert(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    found
}

fn arriving(dir: &Path) -> usize {
    fs::read_dir(dir.join("blobs/arriving")).unwrap().count()
}

/// Waits for something that the server does by itself.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it never came that {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The agent at a server that was started anew. Its writes are refused until the second of the start is over.
pub(crate) async fn at(agent: &TestAgent, target: &Target) -> TestAgent {
    let agent = agent.at(target).await;
    let start = Instant::now();
    while agent.ask(MISSING_BLOBS, &[]).await.status == 401 {
        assert!(start.elapsed() < PATIENCE, "no proof was taken after the restart");
        tokio::time::sleep(PAUSE).await;
    }
    agent
}

pub(crate) async fn put(agent: &TestAgent, rkey: &str, value: &Value) -> Answer {
    let record = record(NOTE, json!({"value": value}));
    agent.call(PUT, json!({"collection": NOTE, "rkey": rkey, "record": record})).await
}

fn content(length: usize) -> Bytes {
    let mut bytes = unique().into_bytes();
    bytes.resize(length, b'.');
    bytes.into()
}

#[test]
fn what_nothing_refers_to_is_collected_after_its_grace_and_what_is_referred_to_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with(dir.path(), "ROOKERY_BLOB_GRACE", "2s");
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let kept = agent.upload(Some("a/b"), content(1000)).await;
        put(&agent, "kept", &kept).await.ok();
        let never = agent.upload(Some("a/b"), content(1000)).await;
        let released = agent.upload(Some("a/b"), content(1000)).await;
        put(&agent, "released", &released).await.ok();
        assert_eq!(objects(dir.path()).len(), 3);
        until("the upload that nothing refers to is gone", || objects(dir.path()).len() == 2).await;
        put(&agent, "late", &never).await.refused(400, "BlobNotFound");
        agent.delete(NOTE, "released").await.unwrap();
        until("the released blob is gone", || objects(dir.path()).len() == 1).await;
        put(&agent, "late", &released).await.refused(400, "BlobNotFound");
        until("nothing is left of it", || count(dir.path(), "blob_garbage") == 0).await;
        assert_eq!((count(dir.path(), "blob"), count(dir.path(), "blob_ref")), (1, 1));
        assert_eq!(agent.get_blob(&cid_of(&kept)).await.body.len(), 1000);
        // The same bytes again are a new object, which an old one's end does not touch.
        let bytes = content(500);
        for _ in 0..2 {
            let blob = agent.upload(Some("a/b"), bytes.clone()).await;
            put(&agent, "again", &blob).await.ok();
            assert_eq!(agent.get_blob(&cid_of(&blob)).await.body, bytes);
            agent.delete(NOTE, "again").await.unwrap();
            until("it is gone again", || objects(dir.path()).len() == 1).await;
        }
    });
}

/// Rows and objects as a process leaves them that ends between two steps of an upload or of its end.
#[test]
fn whatever_step_a_crash_hits_no_object_is_left_without_its_blob() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (agent, blob) = block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let blob = agent.upload(Some("a/b"), content(1000)).await;
        put(&agent, "kept", &blob).await.ok();
        (agent, blob)
    });
    server.kill();
    let kept = objects(dir.path());
    assert_eq!(kept.len(), 1);
    let later = i64::MAX >> 11;
    let states = [
        ("fff/announced-1", Some(later), false),
        ("fff/stored-2", Some(later), true),
        ("fff/collected-3", None, true),
        ("fff/deleted-4", None, false),
    ];
    fs::create_dir(dir.path().join("blobs/objects/fff")).unwrap();
    for (key, held, there) in states {
        let insert = "INSERT INTO blob_garbage (key, held_until) VALUES (?1, ?2)";
        database(dir.path()).execute(insert, (key, held)).unwrap();
        if there {
            fs::write(dir.path().join("blobs/objects").join(key), "left behind").unwrap();
        }
    }
    fs::write(dir.path().join("blobs/arriving/0"), "half of it").unwrap();
    let server = Server::start(dir.path());
    assert_eq!(arriving(dir.path()), 0);
    block_on(async {
        until("the garbage is swept", || count(dir.path(), "blob_garbage") == 0).await;
        assert_eq!(objects(dir.path()), kept);
        let agent = at(&agent, &server.target).await;
        assert_eq!(agent.get_blob(&cid_of(&blob)).await.body.len(), 1000);
    });
}

#[test]
fn the_limit_holds_whether_a_length_is_announced_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with(dir.path(), "ROOKERY_BLOB_LIMIT", "100kB");
    block_on(async {
        let described = server.target.query("com.atproto.server.describeServer", &[]).await.ok();
        assert_eq!(described["blobUploadLimit"], 100_000);
        let agent = TestAgent::enroll(&server.target).await;
        agent.upload(Some("a/b"), content(100_000)).await;
        agent.try_upload(Some("a/b"), content(100_001)).await.unwrap().refused(413, "PayloadTooLarge");
        for (length, status) in [(100_000, 200), (100_001, 413), (10_000_000, 413)] {
            let answer = chunked(&agent, &content(length)).await;
            assert_eq!(answer.status, status, "{length}: {answer}");
        }
        assert_eq!((objects(dir.path()).len(), arriving(dir.path())), (2, 0));
    });
}

/// An upload that does not say how long it is.
async fn chunked(agent: &TestAgent, bytes: &[u8]) -> Answer {
    let mut request = format!(
        "POST /xrpc/com.atproto.repo.uploadBlob HTTP/1.1\r\nHost: {}\r\nAuthorization: DPoP {}\r\nDPoP: {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        agent.target.authority(),
        agent.token,
        agent.proof("com.atproto.repo.uploadBlob").sign(&agent.key),
    )
    .into_bytes();
    for chunk in bytes.chunks(9_999) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    rookery_testkit::raw::exchange(&agent.target, &request).await
}

/// A gigabyte is written into the rows of a stopped server rather than uploaded.
#[test]
fn what_nothing_refers_to_is_bounded_for_each_account() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (agent, other, blob) = block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let blob = agent.upload(Some("a/b"), content(1000)).await;
        (agent, TestAgent::enroll(&server.target).await, blob)
    });
    server.kill();
    let large = (1 << 30) - 500;
    database(dir.path()).execute("UPDATE blob SET size = ?1", [large]).unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        let agent = at(&agent, &server.target).await;
        let refused = agent.try_upload(Some("a/b"), content(501)).await.unwrap();
        assert!(refused.refused(400, "BlobQuotaExceeded").message().contains("records"), "{refused}");
        assert_eq!(chunked(&agent, &content(501)).await.error(), "BlobQuotaExceeded");
        other.at(&server.target).await.upload(Some("a/b"), content(501)).await;
        let blob = json!({"$type": "blob", "ref": blob["ref"], "mimeType": "a/b", "size": large});
        put(&agent, "x", &blob).await.ok();
        agent.upload(Some("a/b"), content(501)).await;
    });
}

/// As after an import, or a loss: the records are there and a blob is not.
#[test]
fn blobs_that_are_missing_are_listed_and_can_be_uploaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let bytes = [content(100), content(100), content(100)];
    let (agent, blobs) = block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let mut blobs = Vec::new();
        for (n, bytes) in bytes.iter().enumerate() {
            let blob = agent.upload(Some("a/b"), bytes.clone()).await;
            put(&agent, &format!("r{n}"), &blob).await.ok();
            blobs.push(blob);
        }
        (agent, blobs)
    });
    server.kill();
    let gone: BTreeSet<String> = blobs[1..].iter().map(cid_of).collect();
    for cid in &gone {
        let cid: rookery_atproto::data::Cid = cid.parse().unwrap();
        database(dir.path()).execute("DELETE FROM blob WHERE cid = ?1", [&cid.as_bytes()[..]]).unwrap();
    }
    let server = Server::start(dir.path());
    block_on(async {
        let agent = at(&agent, &server.target).await;
        let (mut missing, mut cursor) = (BTreeSet::new(), String::new());
        for _ in 0..5 {
            let page = agent.ask(MISSING_BLOBS, &[("limit", "1"), ("cursor", &cursor)]).await.ok();
            for blob in page["blobs"].as_array().unwrap() {
                let cid = blob["cid"].as_str().unwrap();
                let at = blobs.iter().position(|blob| cid_of(blob) == cid).unwrap();
                assert_eq!(blob["recordUri"], format!("at://{}/{NOTE}/r{at}", agent.did));
                assert!(missing.insert(cid.to_owned()), "{cid} twice");
            }
            match page["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(missing, gone);
        agent.get_blob(&cid_of(&blobs[1])).await.refused(400, "BlobNotFound");
        let listed = server.target.query("com.atproto.sync.listBlobs", &[("did", &agent.did)]).await.ok();
        assert_eq!(listed["cids"].as_array().unwrap().len(), 3, "records refer to all of them");
        // What a record waits for is served as soon as it is there.
        assert_eq!(agent.upload(Some("a/b"), bytes[1].clone()).await, blobs[1]);
        assert_eq!(agent.get_blob(&cid_of(&blobs[1])).await.body, bytes[1]);
        let left = agent.ask(MISSING_BLOBS, &[]).await.ok();
        assert_eq!(left["blobs"].as_array().unwrap().len(), 1, "{left}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn uploads_and_downloads_take_the_memory_of_a_few_chunks() {
    const SIZE: usize = 60 * 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let small = agent.upload(Some("a/b"), content(1000)).await;
        put(&agent, "small", &small).await.ok();
        let before = server.peak_memory();
        let bytes = content(SIZE);
        let blob = agent.upload(Some("a/b"), bytes.clone()).await;
        put(&agent, "large", &blob).await.ok();
        assert!(agent.get_blob(&cid_of(&blob)).await.body == bytes);
        let growth = server.peak_memory() - before;
        assert!(growth < SIZE / 4, "{growth} bytes more for a blob of {SIZE}");
    });
}

/// The server with a data directory on a file system of so many bytes that only it sees. `None` where that is not allowed.
fn on_a_small_disk(dir: &Path, size: usize) -> Option<Command> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command
    };
    let mount = format!("mount -t tmpfs -o size={size} none \"$1\"");
    let allowed = unshare(&mount).arg(dir).output().is_ok_and(|output| output.status.success());
    let server = serve(dir);
    let mut command = unshare(&format!("{mount} && shift && exec \"$@\""));
    command.arg(dir).arg(server.get_program()).args(server.get_args());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    allowed.then_some(command)
}

/// The server with a bound on the size of its files, which fails writes as a full disk does.
fn with_small_files(dir: &Path, size: usize) -> Command {
    let server = serve(dir);
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ && ulimit -f {} && exec \"$@\"", size / 512);
    command.args(["-c", &script, "sh"]).arg(server.get_program()).args(server.get_args());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    const ROOM: usize = 24 * 1024 * 1024;
    let mount = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let small_disk = on_a_small_disk(mount.path(), ROOM);
    if small_disk.is_none() {
        println!("a small disk cannot be mounted here: only the bound on files is tested");
    }
    for command in small_disk.into_iter().chain([with_small_files(files.path(), ROOM)]) {
        let server = Server::run(command);
        block_on(async {
            let agent = TestAgent::enroll(&server.target).await;
            let bytes = content(1_000_000);
            let before = agent.upload(Some("a/b"), bytes.clone()).await;
            put(&agent, "before", &before).await.ok();
            for _ in 0..3 {
                let refused = agent.try_upload(Some("a/b"), content(ROOM + 100_000)).await.unwrap();
                refused.refused(507, "StorageFull");
            }
            assert_eq!(agent.get_blob(&cid_of(&before)).await.body, bytes);
            let after = agent.upload(Some("a/b"), content(1_000_000)).await;
            put(&agent, "after", &after).await.ok();
            assert_eq!(agent.get_blob(&cid_of(&after)).await.body.len(), 1_000_000);
        });
    }
}

#[test]
fn the_store_must_be_one_that_is_known_and_complete() {
    let dir = tempfile::tempdir().unwrap();
    for (settings, says) in [
        (&[("ROOKERY_BLOB_STORE", "/var/blobs")][..], "/var/blobs"),
        (&[("ROOKERY_BLOB_STORE", "s3://bucket")], "ROOKERY_S3_ACCESS_KEY_ID"),
        (
            &[("ROOKERY_BLOB_STORE", "s3://bucket"), ("ROOKERY_S3_ACCESS_KEY_ID", "id")],
            "ROOKERY_S3_SECRET_ACCESS_KEY",
        ),
        (&[("ROOKERY_BLOB_LIMIT", "0")], "blob limit"),
        (&[("ROOKERY_BLOB_GRACE", "soon")], "soon"),
    ] {
        let output = serve(dir.path()).envs(settings.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(says), "{settings:?}: {said}");
    }
}
