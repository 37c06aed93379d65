//! An agent that writes, and what its repo must hold.

use crate::firehose::random::Random;
use bytes::Bytes;
use rookery_atproto::data::{Cid, cbor, json as data_json};
use rookery_testkit::agent::{APPLY, CREATE, DELETE, PUT, UPLOAD, cid_of, record};
use rookery_testkit::keys::unique;
use rookery_testkit::{Answer, TestAgent, repo};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOTE: &str = "com.example.durable";
/// Signs for a second to come, so that a server that has just started takes it.
const AHEAD: i64 = 2;

/// What is at a path.
#[derive(Clone)]
struct Content {
    cid: String,
    /// Which of the uploads it refers to.
    upload: Option<usize>,
}

/// Paths and what is there afterwards: nothing, where a record goes.
type Changes = BTreeMap<String, Option<Content>>;

/// An upload that was acknowledged.
#[derive(Clone)]
struct Upload {
    blob: Value,
    bytes: Bytes,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged.
    Done,
    /// The server said that it failed, and that nothing was changed.
    Failed,
    /// There was no answer: it happened as a whole, or not at all.
    Unknown,
}

/// An agent, what its repo must hold, and the one write whose answer it did not get.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) agent: TestAgent,
    records: BTreeMap<String, Content>,
    uploads: Vec<Upload>,
    open: Option<Changes>,
    /// Whether the server may say that it has failed.
    pub(crate) may_fail: bool,
}

impl Writer {
    /// An agent that was enrolled just now.
    pub(crate) fn new(agent: TestAgent) -> Self {
        let agent = TestAgent { ahead: AHEAD, ..agent };
        Self { agent, records: BTreeMap::new(), uploads: Vec::new(), open: None, may_fail: false }
    }

    /// How many records it has.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many of its uploads were acknowledged.
    pub(crate) fn uploads(&self) -> usize {
        self.uploads.len()
    }

    /// Any request.
    pub(crate) async fn step(&mut self, random: &mut Random, shared: &Bytes) -> Outcome {
        match random.below(11) {
            0 | 1 => self.create(random).await,
            2 | 3 => self.put(random).await,
            4 => self.delete(random).await,
            5 | 6 => self.batch(random).await,
            7 => self.mistake().await,
            8 => self.refer(random).await,
            9 => self.upload(shared.clone()).await,
            _ => {
                let length = usize::try_from(100 + random.below(8).pow(6)).unwrap();
                let uploaded = self.upload(bytes(length)).await;
                if uploaded == Outcome::Done { self.refer_to(self.uploads.len() - 1).await } else { uploaded }
            }
        }
    }

    /// `createRecord` under a key that nobody has used.
    pub(crate) async fn create(&mut self, random: &mut Random) -> Outcome {
        let (rkey, value) = (unique(), note(random));
        let changes = Changes::from([content(&rkey, &value, None)]);
        self.write(CREATE, json!({"collection": NOTE, "rkey": rkey, "record": value}), changes).await
    }

    /// `putRecord` under one of few keys.
    pub(crate) async fn put(&mut self, random: &mut Random) -> Outcome {
        let (rkey, value) = (few(random), note(random));
        let changes = Changes::from([content(&rkey, &value, None)]);
        self.write(PUT, json!({"collection": NOTE, "rkey": rkey, "record": value}), changes).await
    }

    /// `deleteRecord` of one of few keys, whether it is there or not.
    pub(crate) async fn delete(&mut self, random: &mut Random) -> Outcome {
        let rkey = few(random);
        let changes = Changes::from([(path(&rkey), None)]);
        self.write(DELETE, json!({"collection": NOTE, "rkey": rkey}), changes).await
    }

    /// `applyWrites` of up to 70 creates, updates and deletes.
    pub(crate) async fn batch(&mut self, random: &mut Random) -> Outcome {
        let (mut writes, mut changes) = (Vec::new(), Changes::new());
        for _ in 0..1 + random.below(8).pow(2) {
            let (rkey, value) = (unique(), note(random));
            writes.push(
                json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": rkey, "value": value}),
            );
            changes.extend([content(&rkey, &value, None)]);
        }
        let there =
            self.records.keys().filter(|_| random.below(6) == 0).take(20).cloned().collect::<Vec<_>>();
        for (n, path) in there.into_iter().enumerate() {
            let rkey = path.rsplit('/').next().unwrap().to_owned();
            if n % 2 == 0 {
                let value = note(random);
                writes.push(json!({"$type": format!("{APPLY}#update"), "collection": NOTE, "rkey": rkey, "value": value}));
                changes.extend([content(&rkey, &value, None)]);
            } else {
                writes.push(json!({"$type": format!("{APPLY}#delete"), "collection": NOTE, "rkey": rkey}));
                changes.insert(path, None);
            }
        }
        self.write(APPLY, json!({ "writes": writes }), changes).await
    }

    /// A write on top of a commit that never was. It is refused, amid others that are not.
    async fn mistake(&mut self) -> Outcome {
        let commit = Cid::dag_cbor(unique().as_bytes()).to_string();
        let value = record(NOTE, json!({}));
        let input = json!({"collection": NOTE, "rkey": "mistake", "record": value, "swapCommit": commit});
        match self.agent.try_call(PUT, input).await {
            Err(_) => Outcome::Unknown,
            Ok(answer) if self.has_failed(&answer) => Outcome::Failed,
            Ok(answer) => {
                answer.refused(400, "InvalidSwap");
                Outcome::Done
            }
        }
    }

    /// `uploadBlob`, twice at once, as a client that is impatient.
    pub(crate) async fn upload(&mut self, bytes: Bytes) -> Outcome {
        let attempt = || self.agent.try_upload(Some("a/b"), bytes.clone());
        let (one, two) = tokio::join!(attempt(), attempt());
        let mut outcome = Outcome::Done;
        for answer in [one, two] {
            match answer {
                Err(_) => outcome = Outcome::Unknown,
                Ok(answer) if self.has_failed(&answer) => outcome = outcome.and(Outcome::Failed),
                Ok(answer) => {
                    let blob = answer.ok()["blob"].clone();
                    assert_eq!(cid_of(&blob), Cid::raw(&bytes).to_string(), "{UPLOAD}");
                    self.uploads.push(Upload { blob, bytes: bytes.clone() });
                }
            }
        }
        outcome
    }

    /// Refers to some upload of its own, however long ago it was: it must be there still.
    pub(crate) async fn refer(&mut self, random: &mut Random) -> Outcome {
        match u64::try_from(self.uploads.len()).unwrap() {
            0 => self.put(random).await,
            uploads => self.refer_to(usize::try_from(random.below(uploads)).unwrap()).await,
        }
    }

    async fn refer_to(&mut self, upload: usize) -> Outcome {
        // One of few keys, so that most blobs are let go again by the next.
        let rkey = format!("k{}", upload % 5);
        let value = record(NOTE, json!({"blob": self.uploads[upload].blob, "nonce": unique()}));
        let changes = Changes::from([content(&rkey, &value, Some(upload))]);
        self.write(PUT, json!({"collection": NOTE, "rkey": rkey, "record": value}), changes).await
    }

    async fn write(&mut self, nsid: &str, input: Value, changes: Changes) -> Outcome {
        assert!(self.open.is_none(), "whether the last write happened has to be looked up first");
        self.open = Some(changes);
        let Ok(answer) = self.agent.try_call(nsid, input).await else { return Outcome::Unknown };
        let changes = self.open.take().unwrap();
        if self.has_failed(&answer) {
            return Outcome::Failed;
        }
        answer.ok();
        self.now_has(changes);
        Outcome::Done
    }

    /// Whether the server says that it has failed, in the words of XRPC.
    fn has_failed(&self, answer: &Answer) -> bool {
        let failed = self.may_fail && answer.status >= 500;
        if failed {
            answer.refused_with(answer.status);
        }
        failed
    }

    fn now_has(&mut self, changes: Changes) {
        for (path, content) in changes {
            match content {
                Some(content) => drop(self.records.insert(path, content)),
                None => drop(self.records.remove(&path)),
            }
        }
    }

    /// The repo verifies and holds what was acknowledged and nothing else; the write without an answer is there as a whole,
    /// or not at all. Every blob that a record refers to is served.
    pub(crate) async fn check(&mut self) {
        let Self { agent, records, open, .. } = self;
        let found = repo::verified(&agent.target, &agent.did).await.records;
        if let Some(changes) = open.take()
            && changes.iter().any(|(path, now)| {
                now.as_ref().map(|now| &now.cid) != records.get(path).map(|before| &before.cid)
                    && found.get(path) == now.as_ref().map(|now| &now.cid)
            })
        {
            self.now_has(changes);
        }
        let expected: BTreeMap<_, _> =
            self.records.iter().map(|(path, content)| (path.clone(), content.cid.clone())).collect();
        same(&self.agent.did, &found, &expected);
        for content in self.records.values() {
            if let Some(Upload { blob, bytes }) = content.upload.map(|upload| &self.uploads[upload]) {
                let got = self.agent.get_blob(&cid_of(blob)).await;
                assert!(
                    got.status == 200 && got.body == *bytes,
                    "{} of {}: {got}",
                    cid_of(blob),
                    self.agent.did
                );
            }
        }
    }

    /// Lets every record go, and with them every blob.
    pub(crate) async fn clear(&mut self) {
        let paths: Vec<_> = self.records.keys().cloned().collect();
        for some in paths.chunks(100) {
            let delete = |path: &String| {
                let rkey = path.rsplit('/').next().unwrap();
                json!({"$type": format!("{APPLY}#delete"), "collection": NOTE, "rkey": rkey})
            };
            let writes: Vec<_> = some.iter().map(delete).collect();
            let changes = some.iter().map(|path| (path.clone(), None)).collect();
            let outcome = self.write(APPLY, json!({ "writes": writes }), changes).await;
            assert_eq!(outcome, Outcome::Done);
        }
    }
}

impl Outcome {
    /// The worse of two.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Unknown || other == Self::Unknown {
            Self::Unknown
        } else if self == Self::Failed {
            self
        } else {
            other
        }
    }
}

fn same(did: &str, found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    for (path, cid) in expected {
        assert_eq!(found.get(path), Some(cid), "{path} of {did} was acknowledged");
    }
    for (path, cid) in found {
        assert_eq!(expected.get(path), Some(cid), "{path} of {did} is there, and should not");
    }
}

fn path(rkey: &str) -> String {
    format!("{NOTE}/{rkey}")
}

/// One of few keys, so that there are updates and deletes.
fn few(random: &mut Random) -> String {
    format!("k{}", random.below(17))
}

/// A record that nobody has written before, of up to four kilobytes.
fn note(random: &mut Random) -> Value {
    let length = usize::try_from(random.below(9).pow(4)).unwrap();
    record(NOTE, json!({"nonce": unique(), "text": "x".repeat(length)}))
}

fn content(rkey: &str, value: &Value, upload: Option<usize>) -> (String, Option<Content>) {
    let value = data_json::parse(value.to_string().as_bytes(), data_json::MAX_DEPTH).unwrap();
    let cid = Cid::dag_cbor(&cbor::encode(&value)).to_string();
    (path(rkey), Some(Content { cid, upload }))
}

/// Bytes that nobody has uploaded before.
pub(crate) fn bytes(length: usize) -> Bytes {
    let mut bytes = unique().into_bytes();
    bytes.resize(length.max(16), b'.');
    bytes.into()
}
