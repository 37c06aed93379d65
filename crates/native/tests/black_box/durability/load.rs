//! Everything at once, until the server is gone: agents write and enroll, others listen and export.

use super::writer::{Outcome, Writer, bytes};
use crate::firehose::random::Random;
use crate::firehose::told::{Live, Seen};
use crate::server::Server;
use bytes::Bytes;
use rookery_testkit::agent::signup_body;
use rookery_testkit::forge::Jwt;
use rookery_testkit::keys::unique;
use rookery_testkit::target::now;
use rookery_testkit::{Answer, Target, TestAgent, TestKey};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Agents that enroll in one round at most, since each is checked in every round after it.
const SIGNUPS: usize = 3;
/// Answers that a kill waits for at most.
const ANSWERS: u64 = 40;
/// A server that answers nothing for so long hangs.
const HANGING: Duration = Duration::from_secs(60);
/// Signs for a second to come, so that a server that has just started takes it.
const AHEAD: i64 = 2;

/// An enrollment without an answer: it happened, or did not, or got half-way.
#[derive(Clone)]
pub(crate) struct Open {
    key: TestKey,
    handle: String,
}

/// What a round leaves behind.
pub(crate) struct Left {
    /// Those who wrote, and behind them those who enrolled.
    pub(crate) writers: Vec<Writer>,
    pub(crate) enrolling: Option<Open>,
    /// What was told before the end.
    pub(crate) seen: Vec<Seen>,
    /// Requests that were acknowledged.
    pub(crate) acknowledged: usize,
}

/// Loads a server and kills it: mostly some time after so many answers, however long they take on a busy machine, and now and
/// then some time after the first request. Subscribers begin at these cursors.
pub(crate) async fn run(
    server: Server,
    writers: Vec<Writer>,
    cursors: &[Option<u64>],
    random: &mut Random,
    time: Duration,
) -> Left {
    let target = server.target.clone();
    let mut listeners = Vec::new();
    for cursor in cursors {
        listeners.push(Live::from(&target, *cursor).await);
    }
    let exporting = tokio::spawn(export(target.clone(), writers[0].agent.did.clone()));
    let enrolling = tokio::spawn(enroll(target));
    // Some uploads are of the same bytes, so that they meet.
    let shared = bytes(50_000);
    let answered = Arc::new(Semaphore::new(0));
    let tasks: Vec<JoinHandle<(Writer, usize)>> = writers
        .into_iter()
        .map(|writer| {
            let seed = random.below(1 << 31);
            tokio::spawn(write(writer, Random(seed << 20 | seed), shared.clone(), Arc::clone(&answered)))
        })
        .collect();
    if random.below(4) > 0 {
        let answers = u32::try_from(random.below(ANSWERS)).unwrap();
        timeout(HANGING, answered.acquire_many(answers)).await.expect("the server answers").unwrap().forget();
    }
    sleep(time).await;
    server.kill();
    let (mut writers, mut acknowledged) = (Vec::new(), 0);
    for task in tasks {
        let (writer, requests) = task.await.unwrap();
        writers.push(writer);
        acknowledged += requests;
    }
    let (enrolled, enrolling) = enrolling.await.unwrap();
    acknowledged += enrolled.len();
    writers.extend(enrolled);
    exporting.await.unwrap();
    let mut seen = Vec::new();
    for listener in listeners {
        seen.push(listener.seen().await);
    }
    Left { writers, enrolling, seen, acknowledged }
}

/// Writes until the server is gone.
async fn write(
    mut writer: Writer,
    mut random: Random,
    shared: Bytes,
    answered: Arc<Semaphore>,
) -> (Writer, usize) {
    let mut acknowledged = 0;
    while writer.step(&mut random, &shared).await != Outcome::Unknown {
        acknowledged += 1;
        answered.add_permits(1);
    }
    (writer, acknowledged)
}

/// Holds a snapshot open most of the time, so that checkpoints get stuck half-way.
async fn export(target: Target, did: String) {
    let url = format!("{}?did={did}", target.xrpc("com.atproto.sync.getRepo"));
    while let Ok(answer) = target.try_send("GET", &url, &[], Bytes::new()).await {
        assert_eq!(answer.status, 200, "{answer}");
    }
}

/// Enrolls some, one after the other; those that were acknowledged, and the last one, if it was not.
async fn enroll(target: Target) -> (Vec<Writer>, Option<Open>) {
    let mut enrolled = Vec::new();
    for _ in 0..SIGNUPS {
        let open = Open::new();
        let Some(answer) = open.send(&target).await else { return (enrolled, Some(open)) };
        enrolled.push(Writer::new(open.enrolled(&target, &answer)));
    }
    (enrolled, None)
}

impl Open {
    /// Somebody who has not asked yet.
    pub(crate) fn new() -> Self {
        Self { key: TestKey::ed25519(), handle: unique() }
    }

    /// Asks, unless the server is gone.
    pub(crate) async fn send(&self, target: &Target) -> Option<Answer> {
        let terms = target.try_send("GET", &format!("{}/tos", target.url), &[], Bytes::new()).await.ok()?;
        let body: Value = signup_body(target, &self.key, &terms.body, &self.handle);
        let url = format!("{}/api/signup", target.url);
        let proof = Jwt::proof(&self.key, "POST", &url, None).claim("iat", now() + AHEAD).sign(&self.key);
        let headers = [("dpop", proof.as_bytes()), ("content-type", b"application/json".as_slice())];
        target.try_send("POST", &url, &headers, body.to_string().into()).await.ok()
    }

    /// Tries again, with the same key, wherever it had got to: one account comes of it, with the handle that was asked for.
    pub(crate) async fn again(self, target: &Target) -> Writer {
        let answer = self.send(target).await.expect("the server answers");
        Writer::new(self.enrolled(target, &answer))
    }

    /// Who it is now.
    pub(crate) fn enrolled(&self, target: &Target, answer: &Answer) -> TestAgent {
        let agent = TestAgent::of(target, self.key.clone(), answer);
        assert!(agent.handle.starts_with(&self.handle), "{} instead of {}", agent.handle, self.handle);
        agent
    }
}
