//! The server is killed in the middle of its work, again and again. What it acknowledged is there afterwards, and the
//! firehose has told it: whoever was listening saw nothing that is not in the log, and the log goes on where it was.

use crate::firehose::told::{Live, Seen, Told};
use crate::server::{Server, block_on};
use rookery_testkit::agent::{APPLY, CREATE, DELETE, PUT, record, signup, signup_body, try_signup};
use rookery_testkit::keys::unique;
use rookery_testkit::target::text;
use rookery_testkit::{Target, TestAgent, TestKey, repo};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const ROUNDS: usize = 25;
/// Agents that write in every round.
const WRITERS: usize = 6;
const NOTE: &str = "com.example.crash";
/// How long a writer waits before it signs anew: proofs of the second of a start are refused.
const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: usize = 300;
/// A server that acknowledges nothing for so long hangs.
const HANGING: Duration = Duration::from_secs(60);

/// Counts what was acknowledged in a round and tells when it is enough.
struct Round {
    left: AtomicUsize,
    enough: Notify,
}

impl Round {
    fn acknowledged(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.enough.notify_one();
        }
    }
}

/// An agent, what its repo must hold, and the one write whose answer it did not get.
struct Writer {
    agent: TestAgent,
    records: BTreeMap<String, String>,
    /// Path of the write that may or may not have happened.
    open: Option<String>,
    step: usize,
}

/// What a round leaves behind.
struct Outcome {
    writers: Vec<Writer>,
    /// The enrollment without an answer: key and handle.
    enrolling: Option<(TestKey, String)>,
    /// What was told before the end.
    seen: Vec<Seen>,
}

#[test]
fn what_was_acknowledged_survives_kill_in_the_middle_of_the_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let mut writers = block_on(async {
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let agent = TestAgent::enroll(&server.target).await;
            writers.push(Writer::new(agent));
        }
        writers
    });
    let mut told = Told::new(&server.target);
    for number in 0..ROUNDS {
        let enough = 15 + number * 7 % 20;
        // Live, from the beginning, and from a few events back.
        let cursors = [None, Some(0), Some(told.seq_back(number))];
        let left = block_on(round(server, writers, enough, &cursors));
        writers = left.writers;
        server = Server::start(dir.path());
        block_on(check(&server.target, &mut writers, number));
        told = block_on(told.replay(&server.target));
        left.seen.iter().for_each(|seen| told.has(seen));
        if let Some((key, handle)) = left.enrolling {
            writers.push(block_on(enroll_again(&server.target, key, &handle)));
        }
    }
    let total: usize = writers.iter().map(|writer| writer.records.len()).sum();
    assert!(total > ROUNDS, "{total} records are too few to show anything");
    assert!(writers.len() > WRITERS, "no agent enrolled under load");
    assert!(told.len() > total, "{} events for {total} records", told.len());
}

/// Everybody writes, and some enroll, until enough was acknowledged; then the server is killed.
async fn round(server: Server, writers: Vec<Writer>, enough: usize, cursors: &[Option<u64>]) -> Outcome {
    let round = Arc::new(Round { left: AtomicUsize::new(enough), enough: Notify::new() });
    let target = server.target.clone();
    let mut listeners = Vec::new();
    for cursor in cursors {
        listeners.push(Live::from(&target, *cursor).await);
    }
    // Those who write this time: the first ones always, so that repos grow, and the newest.
    let (mut busy, mut idle): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    let newest = writers.len().saturating_sub(2);
    for (n, writer) in writers.into_iter().enumerate() {
        if n < WRITERS || n >= newest { busy.push(writer) } else { idle.push(writer) }
    }
    let mut tasks: Vec<_> = busy
        .into_iter()
        .map(|writer| tokio::spawn(write(writer, target.clone(), Arc::clone(&round))))
        .collect();
    let enrolling = tokio::spawn(enroll(target, Arc::clone(&round)));
    tokio::time::timeout(HANGING, round.enough.notified()).await.expect("the server takes writes");
    server.kill();
    for task in tasks.drain(..) {
        idle.push(task.await.unwrap());
    }
    let (enrolled, enrolling) = enrolling.await.unwrap();
    idle.extend(enrolled);
    // Writers first, as they were.
    idle.sort_by_key(|writer| std::cmp::Reverse(writer.step));
    let mut seen = Vec::new();
    for listener in listeners {
        seen.push(listener.seen().await);
    }
    Outcome { writers: idle, enrolling, seen }
}

/// Enrolls one agent after the other; those that were acknowledged, and the last one, which was not.
async fn enroll(target: Target, round: Arc<Round>) -> (Vec<Writer>, Option<(TestKey, String)>) {
    let mut enrolled = Vec::new();
    let Some(terms) = terms(&target).await else { return (enrolled, None) };
    loop {
        let (key, handle) = (TestKey::ed25519(), unique());
        let body = signup_body(&target, &key, &terms, &handle);
        let Ok(answer) = try_signup(&target, &key, &body).await else {
            return (enrolled, Some((key, handle)));
        };
        if answer.status == 401 {
            answer.challenged("invalid_dpop_proof");
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        enrolled.push(Writer::new(TestAgent::of(&target, key, &answer)));
        round.acknowledged();
    }
}

/// An enrollment that was cut short succeeds when the agent tries again, wherever it had got to.
async fn enroll_again(target: &Target, key: TestKey, handle: &str) -> Writer {
    let terms = target.terms().await;
    for _ in 0..ATTEMPTS {
        let answer = signup(target, &key, &signup_body(target, &key, &terms, handle)).await;
        if answer.status == 401 {
            answer.challenged("invalid_dpop_proof");
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let agent = TestAgent::of(target, key, &answer);
        assert!(agent.handle.starts_with(handle), "{} instead of {handle}", agent.handle);
        return Writer::new(agent);
    }
    panic!("no proof was taken after the restart");
}

/// The terms, unless the server is gone already.
async fn terms(target: &Target) -> Option<bytes::Bytes> {
    let url = format!("{}/tos", target.url);
    Some(target.try_send("GET", &url, &[], bytes::Bytes::new()).await.ok()?.body)
}

/// Writes until the server is gone.
async fn write(mut writer: Writer, target: Target, round: Arc<Round>) -> Writer {
    let Some(terms) = terms(&target).await else { return writer };
    let body = signup_body(&target, &writer.agent.key, &terms, "unused");
    writer.agent = TestAgent { token: text(&body, "access_token"), target, ..writer.agent };
    loop {
        let (nsid, path, input) = writer.next();
        writer.open = Some(path.clone());
        let Ok(answer) = writer.agent.try_call(nsid, input).await else { return writer };
        if answer.status == 401 {
            answer.challenged("invalid_dpop_proof");
            writer.open = None;
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let body = answer.ok();
        let result = body.get("results").map_or(&body, |results| &results[0]);
        match result.get("cid").and_then(Value::as_str) {
            Some(cid) => writer.records.insert(path, cid.to_owned()),
            None => writer.records.remove(&path),
        };
        writer.open = None;
        writer.step += 1;
        round.acknowledged();
    }
}

impl Writer {
    fn new(agent: TestAgent) -> Self {
        Self { agent, records: BTreeMap::new(), open: None, step: 0 }
    }

    /// The next write: method, path and input. Keys of their own, so that one without an answer is found again.
    fn next(&self) -> (&'static str, String, Value) {
        let value = record(NOTE, json!({"step": self.step, "nonce": unique()}));
        let rkey = match self.step % 5 {
            0 | 1 => unique(),
            _ => format!("k{}", self.step * 31 % 17),
        };
        let path = format!("{NOTE}/{rkey}");
        let (nsid, input) = match self.step % 5 {
            0 => (CREATE, json!({"collection": NOTE, "rkey": rkey, "record": value})),
            1 => (
                APPLY,
                json!({"writes": [{"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": rkey, "value": value}]}),
            ),
            2 | 3 => (PUT, json!({"collection": NOTE, "rkey": rkey, "record": value})),
            _ => (DELETE, json!({"collection": NOTE, "rkey": rkey})),
        };
        (nsid, path, input)
    }
}

/// Every account is there under its handle, every repo verifies, and holds what was acknowledged and nothing else.
async fn check(target: &Target, writers: &mut [Writer], round: usize) {
    let mut handles = BTreeSet::new();
    for writer in writers {
        let Writer { agent, records, open, .. } = writer;
        assert!(handles.insert(agent.handle.clone()), "{} twice", agent.handle);
        let resolved =
            target.query("com.atproto.identity.resolveHandle", &[("handle", &agent.handle)]).await.ok();
        assert_eq!(text(&resolved, "did"), agent.did, "after round {round}");
        let mut found = repo::verified(target, &agent.did).await.records;
        // The write without an answer happened as a whole or not at all: the repo verifies either way.
        if let Some(path) = open.take() {
            match found.get(&path) {
                Some(cid) => records.insert(path, cid.clone()),
                None => records.remove(&path),
            };
        }
        for (path, cid) in records.iter() {
            assert_eq!(found.remove(path).as_ref(), Some(cid), "{path} of {} after round {round}", agent.did);
        }
        assert!(
            found.is_empty(),
            "{} has {found:?}, which nobody acknowledged, after round {round}",
            agent.did
        );
        let (cid, _) = target.head(&agent.did).await;
        assert!(!cid.is_empty());
    }
}
