//! A host's whole firehose against everything else that the host says.

use super::checker::{Account, Begin, Checker};
use super::frame::{Body, Event, Frame};
use super::subscribe::{Received, Subscription};
use crate::agent::{TestAgent, signup, signup_body};
use crate::keys::{TestKey, unique};
use crate::repo;
use crate::target::{Target, text};
use bytes::Bytes;
use rookery_atproto::syntax::Did;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Silence after which a frame that was replayed counts as never sent.
const SILENCE: Duration = Duration::from_secs(60);
/// Proofs of the second in which a host started are refused.
const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: usize = 300;

/// A checker with what it needs of the network, and a sentence for each fault.
#[derive(Clone, Debug)]
pub struct Auditor {
    target: Target,
    /// What the events have told so far.
    pub checker: Checker,
}

impl Auditor {
    /// One that has seen nothing.
    pub fn new(target: &Target, begin: Begin) -> Self {
        Self { target: target.clone(), checker: Checker::new(begin) }
    }

    /// The host has moved to another URL.
    pub fn moved(self, target: &Target) -> Self {
        Self { target: target.clone(), ..self }
    }

    /// Checks the next event. Panics when it breaks a rule.
    pub async fn take(&mut self, event: &Event) {
        if !self.checker.knows(&event.did) {
            let document = repo::did_document(&self.target, event.did.as_str()).await;
            assert!(document.pds_endpoint().is_some(), "{} has no host", event.did);
            let key = document.signing_key().expect("the DID document has a signing key");
            self.checker.introduce(event.did.clone(), key);
        }
        if let Err(fault) = self.checker.take(event, now_micros()) {
            let told: String = format!("{event:?}").chars().take(2000).collect();
            panic!("event {} of {}: {fault}. It is {told}", event.seq, event.did);
        }
    }

    /// The next event of a stream, checked.
    pub async fn next(&mut self, stream: &mut Subscription) -> (Event, Bytes) {
        match stream.next().await {
            Ok(Received { frame: Frame::Event(event), bytes }) => {
                self.take(&event).await;
                (event, bytes)
            }
            other => panic!("after event {}: expected an event, found {other:?}", self.checker.last()),
        }
    }

    /// Takes what comes until `last` says that this was the last.
    pub async fn read_until(
        &mut self,
        stream: &mut Subscription,
        mut last: impl FnMut(&Event) -> bool,
    ) -> Vec<(u64, Bytes)> {
        let mut all = Vec::new();
        loop {
            let (event, bytes) = self.next(stream).await;
            all.push((event.seq, bytes));
            if last(&event) {
                return all;
            }
        }
    }

    /// Panics unless the host serves the repos, and only those, that the events have led to: heads, states, handles, and
    /// every byte of every export.
    pub async fn agrees(&self) {
        let listed = list_repos(&self.target).await;
        let told = self.checker.accounts();
        for (did, account) in told {
            let deleted = account.status.as_deref() == Some("deleted");
            let found = listed.iter().any(|repo| text(repo, "did") == did.as_str());
            assert!(found || deleted, "{did} is not listed");
        }
        for listed in listed {
            let did = Did::parse(&text(&listed, "did")).unwrap();
            let account = told.get(&did).unwrap_or_else(|| panic!("no event tells of {did}"));
            assert!(account.is_settled(), "the events of {did} stop in the middle of its signup");
            assert_eq!(listed["active"], account.active, "{did}");
            assert_eq!(listed.get("status").and_then(Value::as_str), account.status.as_deref(), "{did}");
            if account.active {
                self.exports(&did, account, &listed).await;
            }
        }
    }

    async fn exports(&self, did: &Did, account: &Account, listed: &Value) {
        let mirror = account.repo.as_ref().unwrap_or_else(|| panic!("no commit of {did} was told"));
        let head = (text(listed, "head"), text(listed, "rev"));
        assert_eq!(head, (mirror.commit.to_string(), mirror.rev.to_string()), "the head of {did}");
        let document = repo::did_document(&self.target, did.as_str()).await;
        if account.handle.is_some() {
            assert_eq!(document.handle(), account.handle, "the handle of {did}");
        }
        let Some(rebuilt) = mirror.export() else { return };
        let rebuilt = rebuilt.unwrap_or_else(|fault| panic!("the repo of {did}: {fault}"));
        let export = repo::download(&self.target, did.as_str(), None).await;
        assert_eq!(export.roots, [mirror.commit], "{did}");
        assert!(export.blocks == rebuilt, "the export of {did} is not what its events make");
    }
}

/// Follows a host live from before its first account.
#[derive(Debug)]
pub struct Witness {
    target: Target,
    frames: mpsc::UnboundedReceiver<Bytes>,
    following: JoinHandle<()>,
}

impl Witness {
    /// Subscribes without a cursor and reads whatever comes.
    pub async fn watch(target: &Target) -> Self {
        let mut stream = Subscription::open(target, None).await;
        let (sender, frames) = mpsc::unbounded_channel();
        let following = tokio::spawn(async move {
            while sender.send(stream.wait_bytes().await.expect("the live stream goes on")).is_ok() {}
        });
        Self { target: target.clone(), frames, following }
    }

    /// Replays the whole log, checks every event, and compares: with what came live, and with what the host serves.
    pub async fn verdict(mut self) {
        let replayed = audit(&self.target).await;
        for (seq, bytes) in &replayed {
            let live = match timeout(SILENCE, self.frames.recv()).await {
                Ok(Some(live)) => live,
                Ok(None) => self.failed().await,
                Err(_) => panic!("event {seq} was replayed, but never came live"),
            };
            assert!(live == *bytes, "event {seq} was not the same live: {:?}", Frame::decode(&live));
        }
        self.frames.close();
        assert!(self.frames.try_recv().is_err(), "more events came live than were replayed");
        self.following.abort();
    }

    /// The stream ended: its own words say why.
    async fn failed(self) -> ! {
        match self.following.await {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            other => panic!("the live stream ended: {other:?}"),
        }
    }
}

/// Replays the log of a host from its first event on, checks every event, and compares with what the host serves. Number and
/// bytes of all events.
pub async fn audit(target: &Target) -> Vec<(u64, Bytes)> {
    let mark = mark(target).await;
    let mut auditor = Auditor::new(target, Begin::Genesis);
    let mut stream = Subscription::open(target, Some(0)).await;
    let all = auditor.read_until(&mut stream, ends_signup(&mark)).await;
    stream.close().await;
    auditor.agrees().await;
    all
}

/// A new account, whose signup marks a place in the log: whatever was written before is before it.
pub async fn mark(target: &Target) -> String {
    let terms = target.terms().await;
    for _ in 0..ATTEMPTS {
        let key = TestKey::ed25519();
        let answer = signup(target, &key, &signup_body(target, &key, &terms, &unique())).await;
        if answer.status != 401 {
            return TestAgent::of(target, key, &answer).did;
        }
        answer.challenged("invalid_dpop_proof");
        tokio::time::sleep(PAUSE).await;
    }
    panic!("no proof was taken");
}

/// Tells the last event of a signup.
pub fn ends_signup(did: &str) -> impl FnMut(&Event) -> bool {
    move |event| event.did.as_str() == did && matches!(event.body, Body::Sync { .. })
}

/// All repos that are listed.
pub async fn list_repos(target: &Target) -> Vec<Value> {
    let (mut repos, mut cursor) = (Vec::new(), String::new());
    loop {
        let params = [("limit", "1000"), ("cursor", cursor.as_str())];
        let mut page = target.query("com.atproto.sync.listRepos", &params).await.ok();
        repos.append(page["repos"].as_array_mut().expect("repos"));
        match page.get("cursor") {
            Some(next) => cursor = next.as_str().expect("a cursor").to_owned(),
            None => return repos,
        }
    }
}

/// Microseconds since the epoch, as this machine has it.
pub fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
}
