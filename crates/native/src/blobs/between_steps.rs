//! What happens between the steps of a blob's life, with the store and the time in the test's hands.

use super::Files;
use crate::clock::SystemClock;
use crate::in_process;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use rookery_pds::app::Ports;
use rookery_pds::ports::{BlobError, BlobStream, Blobs, Clock, Upload};
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{PUT, cid_of, record};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

const HOUR: i64 = 3_600 * 1_000_000;
const NOTE: &str = "com.example.steps";

/// Files, as far as the test lets them.
struct Scripted {
    files: Files,
    script: Arc<Script>,
}

struct Script {
    /// Keys that were asked to be kept.
    keeping: Semaphore,
    /// Uploads that may be kept.
    keep: Semaphore,
    keep_fails: AtomicBool,
    /// Objects whose keys contain this cannot be deleted.
    stuck: Mutex<Option<String>>,
}

struct Held {
    upload: Box<dyn Upload>,
    script: Arc<Script>,
}

impl Blobs for Scripted {
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        let held = |upload| Box::new(Held { upload, script: Arc::clone(&self.script) }) as Box<dyn Upload>;
        self.files.receive(key).map_ok(held).boxed()
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        self.files.read(key, range)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        let stuck = self.script.stuck.lock().unwrap().clone();
        if stuck.is_some_and(|stuck| key.contains(&stuck)) {
            return async { Err(BlobError::Unavailable("stuck".to_owned())) }.boxed();
        }
        self.files.delete(key)
    }

    fn afterlife(&self) -> Duration {
        Duration::ZERO
    }
}

impl Upload for Held {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.upload.write(chunk)
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        async move {
            self.script.keeping.add_permits(1);
            self.script.keep.acquire().await.unwrap().forget();
            self.upload.keep().await?;
            // It is there, and nobody was told so.
            if self.script.keep_fails.load(Ordering::Relaxed) {
                return Err(BlobError::Unavailable("no answer".to_owned()));
            }
            Ok(())
        }
        .boxed()
    }
}

/// The machine's clock, so much later.
struct Later(Arc<AtomicI64>);

impl Clock for Later {
    fn now_micros(&self) -> i64 {
        SystemClock.now_micros() + self.0.load(Ordering::Relaxed)
    }
}

/// A host whose store and clock the test has.
struct Host {
    host: in_process::Host,
    script: Arc<Script>,
    later: Arc<AtomicI64>,
}

impl Deref for Host {
    type Target = in_process::Host;

    fn deref(&self) -> &in_process::Host {
        &self.host
    }
}

impl Host {
    async fn start() -> Self {
        let script = Arc::new(Script {
            keeping: Semaphore::new(0),
            keep: Semaphore::new(0),
            keep_fails: AtomicBool::new(false),
            stuck: Mutex::new(None),
        });
        let later = Arc::new(AtomicI64::new(0));
        let host = in_process::Host::with(|dir, config, ports| {
            let blobs =
                Scripted { files: Files::open(&dir.join("blobs")).unwrap(), script: Arc::clone(&script) };
            let clock = Later(Arc::clone(&later));
            (config, Ports { blobs: Arc::new(blobs), clock: Arc::new(clock), ..ports })
        });
        Self { host: host.await, script, later }
    }

    /// Housekeeping as it is done so many hours later.
    async fn maintain(&self, hours: i64) -> rookery_pds::error::Result<()> {
        self.later.store(hours * HOUR, Ordering::Relaxed);
        let outcome = self.app.maintain().await;
        self.later.store(0, Ordering::Relaxed);
        outcome
    }

    fn objects(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.dir.path().join("blobs/objects")).unwrap();
        folders
            .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
            .map(|object| object.unwrap().path())
            .collect()
    }

    fn rows(&self, table: &str) -> i64 {
        let database = Connection::open(self.dir.path().join("test.db")).unwrap();
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

async fn put(agent: &TestAgent, rkey: &str, blob: &Value) {
    let record = record(NOTE, json!({"blob": blob}));
    agent.call(PUT, json!({"collection": NOTE, "rkey": rkey, "record": record})).await.ok();
}

#[tokio::test]
async fn an_upload_that_was_given_up_is_not_acknowledged_and_leaves_nothing() {
    let host = Host::start().await;
    let agent = TestAgent::enroll(&host.target).await;
    let upload = agent.try_upload(Some("a/b"), Bytes::from_static(b"slow"));
    let meanwhile = async {
        host.script.keeping.acquire().await.unwrap().forget();
        // While it is held, no housekeeping touches it.
        host.maintain(0).await.unwrap();
        assert_eq!(host.rows("blob_garbage WHERE held_until IS NOT NULL"), 1);
        // Its row is given up and its object, which is not there yet, deleted.
        host.maintain(2).await.unwrap();
        assert_eq!(host.rows("blob_garbage"), 0);
        host.script.keep.add_permits(1);
    };
    let (answer, ()) = tokio::join!(upload, meanwhile);
    answer.unwrap().refused(503, "BlobStoreUnavailable");
    // It came after all.
    assert_eq!((host.rows("blob"), host.objects().len()), (0, 1));
    host.maintain(0).await.unwrap();
    assert_eq!((host.rows("blob_garbage"), host.objects().len()), (0, 0));
    host.audit().await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_before_it_is_swept_cannot_be_taken_any_more() {
    let host = Host::start().await;
    let agent = TestAgent::enroll(&host.target).await;
    *host.script.stuck.lock().unwrap() = Some("/".to_owned());
    let upload = agent.try_upload(Some("a/b"), Bytes::from_static(b"slow"));
    let meanwhile = async {
        host.script.keeping.acquire().await.unwrap().forget();
        host.maintain(2).await.unwrap_err();
        host.script.keep.add_permits(1);
    };
    let (answer, ()) = tokio::join!(upload, meanwhile);
    answer.unwrap().refused(503, "BlobStoreUnavailable");
    assert_eq!((host.rows("blob"), host.rows("blob_garbage"), host.objects().len()), (0, 1, 1));
    *host.script.stuck.lock().unwrap() = None;
    host.maintain(0).await.unwrap();
    assert_eq!((host.rows("blob_garbage"), host.objects().len()), (0, 0));
    host.audit().await;
}

#[tokio::test]
async fn an_object_that_is_there_after_an_error_is_swept() {
    let host = Host::start().await;
    let agent = TestAgent::enroll(&host.target).await;
    host.script.keep_fails.store(true, Ordering::Relaxed);
    host.script.keep.add_permits(3);
    let refused = agent.try_upload(Some("a/b"), Bytes::from_static(b"lost")).await.unwrap();
    refused.refused(503, "BlobStoreUnavailable");
    assert_eq!(host.objects().len(), 1);
    host.script.keep_fails.store(false, Ordering::Relaxed);
    // Sent again, it has another object, which goes its own way.
    let blob = agent.upload(Some("a/b"), "lost").await;
    put(&agent, "x", &blob).await;
    assert_eq!(host.objects().len(), 2);
    host.maintain(2).await.unwrap();
    assert_eq!((host.objects().len(), host.rows("blob_garbage")), (1, 0));
    assert_eq!(agent.get_blob(&cid_of(&blob)).await.body, "lost");
    host.audit().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_deleted_holds_up_no_other() {
    let host = Host::start().await;
    let agent = TestAgent::enroll(&host.target).await;
    host.script.keep.add_permits(250);
    agent.upload(Some("a/b"), "first").await;
    let stuck = host.objects()[0].file_name().unwrap().to_string_lossy().into_owned();
    for n in 1..250 {
        agent.upload(Some("a/b"), n.to_string()).await;
    }
    *host.script.stuck.lock().unwrap() = Some(stuck);
    host.maintain(5).await.unwrap();
    assert_eq!((host.rows("blob"), host.objects().len()), (250, 250), "their grace is not over");
    let error = host.maintain(7).await.unwrap_err();
    assert_eq!(error.name, "BlobStoreUnavailable");
    assert_eq!((host.rows("blob"), host.rows("blob_garbage"), host.objects().len()), (0, 1, 1));
    *host.script.stuck.lock().unwrap() = None;
    host.maintain(0).await.unwrap();
    assert_eq!((host.rows("blob_garbage"), host.objects().len()), (0, 0));
    host.audit().await;
}

#[tokio::test]
async fn a_blob_whose_object_is_lost_is_the_servers_failure() {
    let host = Host::start().await;
    let agent = TestAgent::enroll(&host.target).await;
    host.script.keep.add_permits(1);
    let blob = agent.upload(Some("a/b"), "here").await;
    put(&agent, "x", &blob).await;
    fs::remove_file(&host.objects()[0]).unwrap();
    agent.get_blob(&cid_of(&blob)).await.refused(500, "InternalServerError");
    host.audit().await;
}

#[tokio::test]
async fn one_account_has_so_many_uploads_at_once() {
    let host = Host::start().await;
    let agent = TestAgent::enroll(&host.target).await;
    let uploads: Vec<_> = (0..8)
        .map(|n: u8| {
            let agent = agent.clone();
            tokio::spawn(async move { agent.upload(Some("a/b"), vec![n; 10]).await })
        })
        .collect();
    host.script.keeping.acquire_many(8).await.unwrap().forget();
    let refused = agent.try_upload(Some("a/b"), Bytes::from_static(b"ninth")).await.unwrap();
    refused.refused(429, "RateLimitExceeded");
    host.script.keep.add_permits(9);
    for upload in uploads {
        upload.await.unwrap();
    }
    agent.upload(Some("a/b"), "ninth").await;
    host.audit().await;
}
