//! Any writes by any agents, and a reader that comes and goes: it ends up with what the server has.

use crate::server::{Server, block_on};
use bytes::Bytes;
use futures_util::future::join_all;
use rookery_testkit::agent::{APPLY, CREATE, DELETE, PUT, record};
use rookery_testkit::firehose::{Auditor, Begin, Body, Event, Frame, Subscription};
use rookery_testkit::{Target, TestAgent};
use serde_json::{Value, json};

const SEEDS: [u64; 6] = [1, 2, 3, 0xdead_beef, 1 << 40, u64::MAX];
const COLLECTIONS: [&str; 3] = ["com.example.a", "com.example.ab", "com.example.b"];
/// Where the very last record goes.
const END: &str = "com.example.end";

/// Numbers that depend on the seed alone.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }

    /// A key that is likely to be there, so that there are updates and deletes. Every few records the tree grows a layer.
    fn rkey(&mut self) -> String {
        format!("k{}", self.below(60))
    }

    fn value(&mut self, collection: &str) -> Value {
        let length = usize::try_from(self.below(4).pow(4) * self.below(20)).unwrap();
        record(collection, json!({"n": self.below(3), "text": "é".repeat(length)}))
    }
}

#[test]
fn a_reader_that_comes_and_goes_rebuilds_every_repo_from_any_writes() {
    for seed in SEEDS {
        println!("the seed is {seed}");
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path());
        block_on(run(&server.target, Random(seed)));
    }
}

async fn run(target: &Target, mut random: Random) {
    let agents = 1 + random.below(4);
    let readers: Vec<_> =
        (0..3).map(|n| tokio::spawn(Reader::new(target, Random(random.0 ^ n)).read_to_the_end())).collect();
    let lives = (0..agents).map(|n| tokio::spawn(write(target.clone(), Random(random.0.rotate_left(7) ^ n))));
    for life in join_all(lives).await {
        life.unwrap();
    }
    TestAgent::enroll(target).await.create(END, json!({})).await;
    let mut logs = Vec::new();
    for reader in readers {
        logs.push(reader.await.unwrap());
    }
    assert!(logs.iter().all(|log| *log == logs[0]), "readers saw different logs");
}

/// An agent's life.
async fn write(target: Target, mut random: Random) {
    let agent = TestAgent::enroll(&target).await;
    for _ in 0..20 + random.below(60) {
        let (nsid, input) = call(&mut random);
        let answer = agent.call(nsid, input.clone()).await;
        // Whether it is possible is left to chance.
        assert!(matches!(answer.status, 200 | 400 | 409), "{input}: {answer}");
    }
}

fn call(random: &mut Random) -> (&'static str, Value) {
    let (collection, rkey) = (random.one_of(&COLLECTIONS), random.rkey());
    match random.below(8) {
        0 => (CREATE, json!({"collection": collection, "record": random.value(collection)})),
        1 => (CREATE, json!({"collection": collection, "rkey": rkey, "record": random.value(collection)})),
        2 | 3 => (PUT, json!({"collection": collection, "rkey": rkey, "record": random.value(collection)})),
        4 => (DELETE, json!({"collection": collection, "rkey": rkey})),
        _ => {
            let count = 1 + random.below(3).pow(4);
            (APPLY, json!({"writes": (0..count).map(|_| batched(random)).collect::<Vec<_>>()}))
        }
    }
}

/// Mostly deletes and creates, since one that is not possible refuses the batch.
fn batched(random: &mut Random) -> Value {
    let (collection, rkey) = (random.one_of(&COLLECTIONS), random.rkey());
    let action = random.one_of(&["create", "delete", "delete", "fresh", "fresh", "fresh", "fresh", "update"]);
    let kind = if action == "fresh" { "create" } else { action };
    let mut write = json!({"$type": format!("{APPLY}#{kind}"), "collection": collection});
    if action != "fresh" {
        write["rkey"] = rkey.into();
    }
    if action != "delete" {
        write["value"] = random.value(collection);
    }
    write
}

/// Somebody who reads for a while, goes, and comes back with a cursor that may be old.
struct Reader {
    target: Target,
    random: Random,
    auditor: Auditor,
    log: Vec<(u64, Bytes)>,
}

impl Reader {
    fn new(target: &Target, random: Random) -> Self {
        let auditor = Auditor::new(target, Begin::Genesis);
        Self { target: target.clone(), random, auditor, log: Vec::new() }
    }

    async fn read_to_the_end(mut self) -> Vec<(u64, Bytes)> {
        while !self.visit().await {}
        self.auditor.agrees().await;
        self.log
    }

    /// Connects, reads something, and goes; true at the end.
    async fn visit(&mut self) -> bool {
        let known = self.log.len();
        let back = usize::try_from(self.random.below(4) * self.random.below(10)).unwrap().min(known);
        let cursor = self.log[..known - back].last().map_or(0, |(seq, _)| *seq);
        // A number between two events is a cursor as well.
        let next = self.log.get(known - back).map(|(seq, _)| *seq);
        let cursor = if self.random.below(2) == 0 { next.map_or(cursor, |next| next - 1) } else { cursor };
        let mut stream = Subscription::open(&self.target, Some(cursor)).await;
        for at in known - back..known {
            let again = stream.next().await.expect("the stream goes on");
            assert!(again.bytes == self.log[at].1, "event {} is another now", self.log[at].0);
        }
        for _ in 0..1 + self.random.below(40) {
            let received = stream.next().await.expect("the stream goes on");
            let Frame::Event(event) = received.frame else { panic!("{:?}", received.frame) };
            self.auditor.take(&event).await;
            self.log.push((event.seq, received.bytes));
            if is_end(&event) {
                return true;
            }
        }
        if self.random.below(2) == 0 {
            stream.close().await;
        }
        false
    }
}

fn is_end(event: &Event) -> bool {
    matches!(&event.body, Body::Commit(commit) if commit.ops.iter().any(|op| op.path.starts_with(END)))
}
