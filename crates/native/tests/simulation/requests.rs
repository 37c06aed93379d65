//! What agents ask for, and what they make of the answers.

use crate::agent::Message;
use crate::model::{Action, Batch, History, Outcome, Records, Write};
use crate::world::{Sent, Stage, World};
use axum::Router;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use rookery_atproto::data::{Cid, cbor, json as atproto_json};
use rookery_atproto::syntax::{Did, Handle};
use rookery_pds::app::App;
use rookery_pds::ports::Clock;
use rookery_pds::sequencer::Start;
use rookery_pds::store::account::Status;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tower::ServiceExt;

/// Few collections and record keys, so that requests meet.
const COLLECTIONS: [&str; 3] = ["com.example.a", "com.example.b", "org.example.c"];
const RKEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "self", "3jzfcijpj2z2a"];

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// An account under this handle.
    Signup,
    /// Writes to a repo.
    Write(String, Batch),
    /// A write that was acknowledged, once more.
    Replay,
    /// To keep a blob.
    Upload(String, Cid),
    /// All of a repo.
    Export(String),
    /// That an account is active, or is not.
    Status(String, bool),
    /// Another handle.
    Handle(String, String),
    /// Events after this one.
    Follow(i64),
    /// Housekeeping.
    Maintain,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Http(u16, Bytes),
    Done(Result<(), String>),
    /// Events, and whether they begin later than was asked for.
    Events(Vec<(i64, Bytes)>, bool),
}

impl Asked {
    fn name(&self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Write(..) => "write",
            Self::Replay => "replay",
            Self::Upload(..) => "upload",
            Self::Export(_) => "export",
            Self::Status(..) => "status",
            Self::Handle(..) => "handle",
            Self::Follow(_) => "follow",
            Self::Maintain => "maintain",
        }
    }
}

impl Answer {
    /// As in HTTP.
    fn status(&self) -> u16 {
        match self {
            Self::Http(status, _) => *status,
            Self::Done(Ok(())) | Self::Events(..) => 200,
            Self::Done(Err(_)) => 500,
        }
    }
}

type Asking = (Asked, Option<Message>, BoxFuture<'static, Answer>);

impl World {
    /// Decides what an agent asks for.
    pub(crate) fn ask(&mut self, agent: usize) -> Asking {
        let app = Arc::clone(&self.app);
        let Some(did) = self.agents[agent].did.clone() else { return self.signup(agent) };
        // Not for long: there is little that can be asked of one who is not active.
        if !self.repos[&did].last().active && self.random.once_in(3) {
            return self.status(did, true);
        }
        match self.random.below(100) {
            0..62 => self.write(agent, did),
            62..66 => self.replay(agent, did),
            66..74 => self.upload(agent, did),
            74..80 => self.sends(Asked::Export(did.clone()), Message::query(&export_path(&did))),
            80..82 if self.turns => self.status(did, false),
            82..86 => {
                let handle = format!("h{}.test", self.sent.len());
                let (parsed, wanted) = (Did::parse(&did).unwrap(), Handle::parse(&handle).unwrap());
                let change = async move { done(app.set_handle(&parsed, wanted).await) };
                (Asked::Handle(did, handle), None, change.boxed())
            }
            86..94 => {
                let cursor = match self.random.below(self.log.len() + 1) {
                    0 => 0,
                    at => self.log[at - 1].0,
                };
                (Asked::Follow(cursor), None, follow(app, cursor, 500 + self.random.below(20_000)).boxed())
            }
            94..96 => self.signup(agent),
            _ => {
                let prune = self.random.once_in(2);
                let keep =
                    async move { done(if prune { app.log.prune().await } else { app.maintain().await }) };
                (Asked::Maintain, None, keep.boxed())
            }
        }
    }

    fn status(&self, did: String, active: bool) -> Asking {
        let (app, parsed) = (Arc::clone(&self.app), Did::parse(&did).unwrap());
        let status = if active { Status::Active } else { Status::Deactivated };
        let change = async move { done(app.set_status(&parsed, status).await) };
        (Asked::Status(did, active), None, change.boxed())
    }

    fn sends(&self, asked: Asked, message: Message) -> Asking {
        let future = call(self.router.clone(), message.clone()).boxed();
        (asked, Some(message), future)
    }

    /// Few handles, so that agents want the same.
    fn signup(&mut self, agent: usize) -> Asking {
        let handle = format!("agent{}", self.random.below(2 * self.agents.len()));
        let message = self.agents[agent].signup(&self.random, self.time.now_micros(), &handle);
        self.sends(Asked::Signup, message)
    }

    fn replay(&mut self, agent: usize, did: String) -> Asking {
        match self.agents[agent].last.clone() {
            Some(message) => self.sends(Asked::Replay, message),
            None => self.write(agent, did),
        }
    }

    fn upload(&mut self, agent: usize, did: String) -> Asking {
        // Few different ones, so that the same comes again.
        let bytes = format!("blob {}", self.random.below(12)).into_bytes();
        let asked = Asked::Upload(did, Cid::raw(&bytes));
        let now = self.time.now_micros();
        let method = "com.atproto.repo.uploadBlob";
        let message = self.agents[agent].call(&self.random, now, method, "text/plain", bytes);
        self.sends(asked, message)
    }

    fn write(&mut self, agent: usize, did: String) -> Asking {
        let count = if self.random.once_in(3) { 1 + self.random.below(6) } else { 1 };
        let records = self.records_of(agent);
        let mut batch = Batch { writes: Vec::new(), swap_commit: None, no_blob: false };
        let mut bodies = Vec::new();
        for at in 0..count {
            let (write, body) = self.one_write(agent, count == 1, &records, at, &mut batch.no_blob);
            batch.writes.push(write);
            bodies.push(body);
        }
        if self.random.once_in(6) {
            let states = &self.repos[&did].0;
            // Mostly the newest, which may be old when it comes to it.
            let at = if self.random.once_in(4) { self.random.below(states.len()) } else { states.len() - 1 };
            batch.swap_commit = Some(states[at].commit);
        }
        let (method, mut input) = input_of(&batch, bodies);
        input["repo"] = did.as_str().into();
        if let Some(swap) = batch.swap_commit {
            input["swapCommit"] = swap.to_string().into();
        }
        let now = self.time.now_micros();
        let body = input.to_string().into_bytes();
        let message = self.agents[agent].call(&self.random, now, method, "application/json", body);
        self.sends(Asked::Write(did, batch), message)
    }

    fn one_write(
        &self,
        agent: usize,
        alone: bool,
        records: &Records,
        at: usize,
        no_blob: &mut bool,
    ) -> (Write, Option<Value>) {
        let random = &self.random;
        let collection = *random.pick(&COLLECTIONS);
        let rkey = (*random.pick(&RKEYS)).to_owned();
        let found = records.get(&format!("{collection}/{rkey}")).copied();
        let action = if alone {
            *random.pick(&[Action::Create, Action::Put, Action::Put, Action::Delete])
        } else {
            // Mostly what can be done, as far as the sender knows.
            match found {
                Some(_) if !random.once_in(12) => *random.pick(&[Action::Update, Action::Delete]),
                _ => Action::Create,
            }
        };
        let body = (action != Action::Delete).then(|| {
            let mut record = json!({ "$type": collection, "n": format!("{}-{at}", self.sent.len()) });
            if random.once_in(5) {
                let blobs = &self.agents[agent].blobs;
                if let Some(last) = blobs.len().checked_sub(1) {
                    record["blob"] = blobs[random.below(last + 1)].clone();
                } else if alone {
                    record["blob"] = blob_ref(&Cid::raw(b"nowhere"), 7);
                    *no_blob = true;
                }
            }
            record
        });
        let cid = body.as_ref().map(cid_of);
        let swap = match random.below(10) {
            0 if alone && matches!(action, Action::Put | Action::Delete) => found.map(Some),
            1 if alone && action == Action::Put => Some(None),
            2 if alone && matches!(action, Action::Put | Action::Delete) => {
                Some(Some(Cid::dag_cbor(b"\xa0")))
            }
            _ => None,
        };
        let chosen = action == Action::Create && random.once_in(3);
        let rkey = (!chosen).then_some(rkey);
        (Write { collection, rkey, action, cid, swap }, body)
    }

    /// Holds an answer against what is known.
    pub(crate) fn answered(&mut self, request: usize, answer: Answer) {
        let sent = &self.sent[request];
        let (agent, since) = (sent.agent, sent.since);
        *self.answers.entry(sent.asked.name()).or_default().entry(answer.status()).or_default() += 1;
        match (sent.asked.clone(), answer) {
            (Asked::Write(did, batch), Answer::Http(status, body)) => {
                self.write_answered(request, (&did, since), &batch, status, &body);
            }
            (Asked::Signup, Answer::Http(200, body)) => {
                let did = body_of(&body)["did"].as_str().expect("a DID").to_owned();
                assert!(self.repos.contains_key(&did), "{did} was acknowledged, but is not in the log");
                let known = self.agents[agent].did.get_or_insert_with(|| did.clone());
                assert_eq!(*known, did, "one key has two accounts");
            }
            (Asked::Replay, Answer::Http(status, body)) => {
                assert_ne!(status, 200, "a proof was taken twice: {body:?}");
            }
            (Asked::Upload(did, cid), Answer::Http(200, body)) => {
                let blob = body_of(&body)["blob"].clone();
                assert_eq!(blob["ref"]["$link"], cid.to_string());
                assert!(self.blob_is_kept(&did, &cid, sent.at), "{cid} was acknowledged, but is not there");
                self.agents[agent].blobs.push(blob);
            }
            (Asked::Export(did), Answer::Http(200, body)) => self.exported(&did, since, &body),
            (Asked::Export(did), Answer::Http(status, body)) if status < 500 => {
                let states = self.repos[&did].0.iter().skip(since.saturating_sub(1));
                assert!(states.clone().any(|state| !state.active), "{did} is active: {body:?}");
            }
            (Asked::Status(did, active), Answer::Done(Ok(()))) => {
                let mut states = self.repos[&did].0.iter().skip(since.saturating_sub(1));
                assert!(states.any(|state| state.active == active), "{did} never became so");
            }
            (Asked::Handle(did, handle), Answer::Done(outcome)) => {
                let told = self.handles.get(&(did, handle.clone())).copied().unwrap_or(0);
                assert_eq!(told, usize::from(outcome.is_ok()), "{handle}: {outcome:?}");
            }
            (Asked::Follow(cursor), Answer::Events(events, later)) => self.followed(cursor, &events, later),
            (_, Answer::Http(..) | Answer::Done(_)) => {}
            (asked, answer) => panic!("{asked:?} was answered {answer:?}"),
        }
    }

    fn write_answered(
        &mut self,
        request: usize,
        (did, since): (&str, usize),
        batch: &Batch,
        status: u16,
        body: &Bytes,
    ) {
        let body = body_of(body);
        let history = self.repos.get_mut(did).expect("it has an account");
        let told = match (status, body["error"].as_str().unwrap_or_default()) {
            (200, _) if body["commit"].is_object() => {
                let commit = body["commit"]["cid"].as_str().unwrap().parse().unwrap();
                let rev = body["commit"]["rev"].as_str().unwrap().parse().unwrap();
                history.acknowledged(request, since, batch, commit, rev);
                self.agents[self.sent[request].agent].last.clone_from(&self.sent[request].message);
                return;
            }
            (200, _) => Outcome::Effects(Default::default()),
            (_, "AccountDeactivated") => Outcome::Refused("inactive"),
            (_, "InvalidSwap") => Outcome::Refused("InvalidSwap"),
            (_, "RecordAlreadyExists") => Outcome::Refused("RecordAlreadyExists"),
            (_, "RecordNotFound") => Outcome::Refused("RecordNotFound"),
            (_, "BlobNotFound") => {
                // It may have been collected as well.
                let blobs = self.agents[self.sent[request].agent].blobs.len();
                assert!(batch.no_blob || blobs > 0, "{batch:?}");
                return;
            }
            // The proof is older than the process, or than what is remembered.
            (401, "AuthFailed") => return,
            (500 | 503 | 507, _) if self.store.faults.load(Ordering::Relaxed) > 0 => return,
            // Turns that exclude nobody.
            (503, "ConcurrentWrites") if !self.turns => return,
            other => panic!("{batch:?} was answered {other:?}: {body}"),
        };
        history.told(since, batch, &told);
    }

    /// Everybody can have an account, and write to it.
    pub(crate) fn service_resumes(&mut self) {
        // Past the second in which the process started, and all that it remembers of proofs.
        self.time.set(self.time.latest() + 1_000_000);
        for agent in 0..self.agents.len() {
            if self.agents[agent].did.is_none() {
                let handle = format!("late{agent}");
                let message = self.agents[agent].signup(&self.random, self.time.now_micros(), &handle);
                let asking = self.sends(Asked::Signup, message);
                assert_eq!(self.ask_alone(agent, asking), 200, "nobody else wants {handle}");
            }
            let did = self.agents[agent].did.clone().expect("it has an account by now");
            let asking = self.write(agent, did);
            let status = self.ask_alone(agent, asking);
            assert!(status < 500 && status != 401, "a write is answered {status}");
        }
    }

    /// Sends a request while there is no other.
    fn ask_alone(&mut self, agent: usize, (asked, message, future): Asking) -> u16 {
        let (at, since) = (self.time.now_micros(), self.repo_of(agent).map_or(0, History::len));
        let answer = self.now(future);
        self.observe();
        let status = answer.status();
        self.sent.push(Sent { agent, asked, message, at, since, stage: Stage::Answered });
        self.answered(self.sent.len() - 1, answer);
        status
    }
}

fn export_path(did: &str) -> String {
    format!("/xrpc/com.atproto.sync.getRepo?did={did}")
}

/// Sends a request and collects its answer.
pub(crate) async fn call(router: Router, message: Message) -> Answer {
    let answer = router.oneshot(message.request()).await.unwrap();
    let status = answer.status().as_u16();
    match answer.into_body().collect().await {
        Ok(body) => Answer::Http(status, body.to_bytes()),
        Err(_) => Answer::Http(599, Bytes::new()),
    }
}

fn done(outcome: rookery_pds::error::Result<()>) -> Answer {
    Answer::Done(outcome.map_err(|error| error.to_string()))
}

/// Reads events up to the end of the log, as a subscriber does.
async fn follow(app: Arc<App>, cursor: i64, most: usize) -> Answer {
    let (mut subscriber, later) = match app.log.subscribe(Some(cursor), 1_000).await {
        Ok(Start::From(subscriber, notice)) => (subscriber, notice.is_some()),
        Ok(Start::Refused(frame)) => return Answer::Done(Err(format!("refused: {frame:?}"))),
        Err(error) => return Answer::Done(Err(error.to_string())),
    };
    let (mut events, mut later, mut most) = (Vec::new(), later, most);
    loop {
        let page = match app.log.events(subscriber.at().seq, most).await {
            Ok(page) => page,
            Err(error) => return Answer::Done(Err(error.to_string())),
        };
        later |= subscriber.outdated(page.ends).is_some();
        if subscriber.too_slow(page.ends).is_some() {
            return Answer::Events(events, later);
        }
        if let (true, Some(next)) = (page.frames.is_empty(), page.next) {
            most = next;
            continue;
        }
        let Some(last) = page.frames.last() else { return Answer::Events(events, later) };
        subscriber.advance(last.position, page.ends);
        events.extend(page.frames.into_iter().map(|frame| (frame.position.seq, frame.bytes.into())));
    }
}

pub(crate) fn body_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn blob_ref(cid: &Cid, size: usize) -> Value {
    json!({ "$type": "blob", "ref": { "$link": cid.to_string() }, "mimeType": "text/plain", "size": size })
}

fn cid_of(record: &Value) -> Cid {
    let value = atproto_json::parse(record.to_string().as_bytes(), 64).unwrap();
    Cid::dag_cbor(&cbor::encode(&value))
}

/// The endpoint, and its input.
fn input_of(batch: &Batch, bodies: Vec<Option<Value>>) -> (&'static str, Value) {
    if let ([write], [body]) = (batch.writes.as_slice(), bodies.as_slice()) {
        let mut input = json!({ "collection": write.collection });
        if let Some(rkey) = &write.rkey {
            input["rkey"] = rkey.as_str().into();
        }
        if let Some(body) = body {
            input["record"] = body.clone();
        }
        if let Some(swap) = write.swap {
            input["swapRecord"] = swap.map(|cid| cid.to_string()).into();
        }
        let method = match write.action {
            Action::Create => "com.atproto.repo.createRecord",
            Action::Put | Action::Update => "com.atproto.repo.putRecord",
            Action::Delete => "com.atproto.repo.deleteRecord",
        };
        return (method, input);
    }
    let writes = batch.writes.iter().zip(bodies).map(|(write, body)| {
        let kind = match write.action {
            Action::Create => "create",
            Action::Update | Action::Put => "update",
            Action::Delete => "delete",
        };
        let mut input = json!({ "$type": format!("com.atproto.repo.applyWrites#{kind}"), "collection": write.collection });
        if let Some(rkey) = &write.rkey {
            input["rkey"] = rkey.as_str().into();
        }
        if let Some(body) = body {
            input["value"] = body;
        }
        input
    });
    ("com.atproto.repo.applyWrites", json!({ "writes": writes.collect::<Vec<_>>() }))
}
