//! The server is killed while blobs are uploaded, referred to and let go. Every upload that was acknowledged can be referred
//! to and read afterwards, and in the end nothing is left that belongs to nobody.

use crate::blobs::{at, database, objects, put, until};
use crate::server::{Server, block_on, serve};
use bytes::Bytes;
use rookery_testkit::agent::{APPLY, DELETE, PUT, cid_of, record};
use rookery_testkit::keys::unique;
use rookery_testkit::{Target, TestAgent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const NOTE: &str = "com.example.blobs";
const ROUNDS: usize = 12;
const WRITERS: usize = 5;
/// A server that acknowledges nothing for so long hangs.
const HANGING: Duration = Duration::from_secs(60);

/// An agent and what it was told.
struct Writer {
    agent: TestAgent,
    /// Acknowledged uploads and their bytes.
    uploads: Vec<(Value, Bytes)>,
    /// What its records refer to, by record key.
    records: BTreeMap<String, Value>,
    /// The record whose write was not answered.
    open: Option<(String, Option<Value>)>,
    step: usize,
}

/// Counts what was acknowledged in a round and tells when it is enough.
struct Round {
    left: AtomicUsize,
    enough: Notify,
}

#[test]
fn what_was_uploaded_survives_kill_and_what_was_not_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let mut writers: Vec<Writer> = block_on(async {
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let agent = TestAgent::enroll(&server.target).await;
            writers.push(Writer {
                agent,
                uploads: Vec::new(),
                records: BTreeMap::new(),
                open: None,
                step: 0,
            });
        }
        writers
    });
    for number in 0..ROUNDS {
        writers = block_on(round(server, writers, 10 + number * 7 % 23));
        server = Server::start(dir.path());
        block_on(check(&server.target, &mut writers, number));
    }
    let uploads: usize = writers.iter().map(|writer| writer.uploads.len()).sum();
    assert!(uploads > ROUNDS * 2, "{uploads} uploads are too few to show anything");
    server.kill();
    block_on(end(dir.path(), &writers));
}

/// Everybody uploads until enough was acknowledged; then the server is killed.
async fn round(server: Server, writers: Vec<Writer>, enough: usize) -> Vec<Writer> {
    let round = Arc::new(Round { left: AtomicUsize::new(enough), enough: Notify::new() });
    // Half of the writers share their bytes, so that uploads of the same meet.
    let shared = Bytes::from(unique().repeat(4000));
    let tasks: Vec<_> = writers
        .into_iter()
        .map(|writer| tokio::spawn(write(writer, shared.clone(), Arc::clone(&round))))
        .collect();
    tokio::time::timeout(HANGING, round.enough.notified()).await.expect("the server takes uploads");
    server.kill();
    let mut writers = Vec::new();
    for task in tasks {
        writers.push(task.await.unwrap());
    }
    writers
}

/// Uploads, refers and lets go until the server is gone.
async fn write(mut writer: Writer, shared: Bytes, round: Arc<Round>) -> Writer {
    loop {
        let bytes = match writer.step % 3 {
            0 => shared.clone(),
            1 => Bytes::from(unique()),
            _ => Bytes::from(unique().repeat(20_000)),
        };
        // Twice at once, as a client that is impatient.
        let (one, two) = tokio::join!(
            writer.agent.try_upload(Some("a/b"), bytes.clone()),
            writer.agent.try_upload(Some("a/b"), bytes.clone())
        );
        for answer in [&one, &two].into_iter().flatten() {
            writer.uploads.push((answer.ok()["blob"].clone(), bytes.clone()));
        }
        let (Ok(one), Ok(_)) = (one, two) else { return writer };
        let (rkey, blob) = (format!("k{}", writer.step % 4), one.ok()["blob"].clone());
        let value = record(NOTE, json!({"value": blob, "nonce": unique()}));
        let (nsid, input, after) = match writer.step % 5 {
            0 | 1 => (PUT, json!({"collection": NOTE, "rkey": rkey, "record": value}), Some(blob)),
            2 if writer.records.contains_key(&rkey) => {
                let update = json!({"$type": format!("{APPLY}#update"), "collection": NOTE, "rkey": rkey, "value": value});
                (APPLY, json!({ "writes": [update] }), Some(blob))
            }
            3 => (DELETE, json!({"collection": NOTE, "rkey": rkey}), None),
            _ => {
                writer.step += 1;
                continue;
            }
        };
        writer.open = Some((rkey.clone(), after.clone()));
        let Ok(answer) = writer.agent.try_call(nsid, input).await else { return writer };
        answer.ok();
        writer.open = None;
        writer.now_has(rkey, after);
        writer.step += 1;
        if round.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            round.enough.notify_one();
        }
    }
}

impl Writer {
    fn now_has(&mut self, rkey: String, blob: Option<Value>) {
        match blob {
            Some(blob) => drop(self.records.insert(rkey, blob)),
            None => drop(self.records.remove(&rkey)),
        }
    }
}

/// Every record's blob is served, and every upload can be referred to still.
async fn check(target: &Target, writers: &mut [Writer], round: usize) {
    for writer in writers {
        writer.agent = at(&writer.agent, target).await;
        if let Some((rkey, _)) = writer.open.take() {
            // It happened or it did not.
            let got = writer.agent.get(NOTE, &rkey).await;
            let now = (got.status == 200).then(|| got.ok()["value"]["value"].clone());
            writer.now_has(rkey, now);
        }
        for (rkey, blob) in &writer.records {
            let got = writer.agent.get_blob(&cid_of(blob)).await;
            assert_eq!(got.status, 200, "{rkey} after round {round}: {got}");
            assert_eq!(got.body.len(), blob["size"], "{rkey} after round {round}");
        }
        let last = writer.uploads.len().saturating_sub(8);
        for (blob, bytes) in &writer.uploads[last..] {
            put(&writer.agent, "check", blob).await.ok();
            let got = writer.agent.get_blob(&cid_of(blob)).await;
            assert!(got.status == 200 && got.body == bytes, "after round {round}: {got}");
        }
    }
}

/// When all records are gone and the grace is over, so is every object and every row.
async fn end(dir: &std::path::Path, writers: &[Writer]) {
    let mut command = serve(dir);
    command.env("ROOKERY_BLOB_GRACE", "1s");
    let server = Server::run(command);
    for writer in writers {
        let agent = at(&writer.agent, &server.target).await;
        for rkey in writer.records.keys().map(String::as_str).chain(["check"]) {
            agent.delete(NOTE, rkey).await;
        }
    }
    let rows = || {
        let tables =
            ["blob", "blob_ref", "blob_garbage"].map(|table| format!("(SELECT count(*) FROM {table})"));
        let sum = format!("SELECT {}", tables.join(" + "));
        database(dir).query_row(&sum, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    until("all is collected", || rows() == 0).await;
    assert!(objects(dir).is_empty(), "{:?} belong to nobody", objects(dir));
}
