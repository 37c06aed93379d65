//! What must hold after every end of a server.

use super::load::{Left, Open, run};
use super::writer::{Outcome, Writer, bytes};
use crate::blobs::objects;
use crate::firehose::random::Random;
use crate::firehose::told::{Live, Seen, Told};
use crate::server::Server;
use bytes::Bytes;
use rookery_testkit::firehose::audit::list_repos;
use rookery_testkit::firehose::{Body, Event};
use rookery_testkit::forge::Jwt;
use rookery_testkit::target::text;
use rookery_testkit::{Target, TestAgent, TestKey};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// Of those who enrolled last, how many write with the first ones.
const NEWEST: usize = 2;
/// Of the others, how many are checked in every round.
const OTHERS: usize = 4;
/// Events that are replayed in every round; all of them are in every so many.
const TAIL: usize = 200;
const ALL: usize = 5;

/// Kinds of requests, beside enrollment.
const KINDS: usize = 6;

/// A server's life as its agents know it, from one start to the next.
#[derive(Clone)]
pub(crate) struct World {
    /// Those who write: the first ones always, so that repos grow; then the newest; then those at rest.
    writers: Vec<Writer>,
    /// How many of them were the first.
    first: usize,
    enrolling: Option<Open>,
    told: Told,
    /// What somebody saw, and nobody has looked for in the log yet.
    seen: Vec<Seen>,
    rounds: usize,
    /// Requests that were acknowledged.
    pub(crate) acknowledged: usize,
}

impl World {
    /// Some agents at a server that has none.
    pub(crate) async fn begin(target: &Target, first: usize) -> Self {
        let mut writers = Vec::new();
        for n in 0..first {
            let agent = match n {
                0 => TestAgent::enroll_as(target, TestKey::rsa(0), &rookery_testkit::keys::unique()).await,
                _ => TestAgent::enroll(target).await,
            };
            writers.push(Writer::new(agent));
        }
        Self {
            writers,
            first,
            enrolling: None,
            told: Told::new(target),
            seen: Vec::new(),
            rounds: 0,
            acknowledged: 0,
        }
    }

    /// Loads the server for some time and kills it.
    pub(crate) async fn load(&mut self, server: Server, random: &mut Random, time: Duration) {
        assert!(self.greet(&server.target).await, "the server is gone");
        let back = usize::try_from(random.below(30)).unwrap();
        let cursors = [None, Some(self.told.seq_back(back)), Some(0)];
        let idle = self.writers.split_off(self.writers.len().min(self.first + NEWEST));
        let busy = std::mem::take(&mut self.writers);
        let cursors = &cursors[..if self.rounds.is_multiple_of(ALL) { 3 } else { 2 }];
        let Left { mut writers, enrolling, seen, acknowledged } =
            run(server, busy, cursors, random, time).await;
        let newest = writers.split_off(self.first);
        // The newest write next time.
        self.writers = writers;
        self.writers.extend(newest.into_iter().rev());
        self.writers.extend(idle);
        self.enrolling = enrolling;
        self.seen.extend(seen);
        self.acknowledged += acknowledged;
        self.rounds += 1;
    }

    /// One of each kind of request, by the first agent, and an enrollment. What became of the worst of them.
    pub(crate) async fn once(&mut self, target: &Target, random: &mut Random, may_fail: bool) -> Outcome {
        if !self.greet(target).await {
            return Outcome::Unknown;
        }
        let writer = &mut self.writers[0];
        writer.may_fail = may_fail;
        let mut outcome = Outcome::Done;
        for kind in 0..KINDS {
            outcome = outcome.and(match kind {
                0 => writer.create(random).await,
                1 => writer.upload(bytes(100_000)).await,
                2 => writer.batch(random).await,
                3 => writer.refer(random).await,
                4 => writer.put(random).await,
                _ => writer.delete(random).await,
            });
            if outcome == Outcome::Unknown {
                return outcome;
            }
        }
        let open = self.enrolling.take().unwrap_or_else(Open::new);
        match open.send(target).await {
            Some(answer) if answer.status == 200 => {
                self.writers.insert(self.first, Writer::new(open.enrolled(target, &answer)));
                return outcome;
            }
            Some(answer) => {
                assert!(may_fail && answer.status >= 500, "{answer}");
                outcome = outcome.and(Outcome::Failed);
            }
            None => outcome = Outcome::Unknown,
        }
        self.enrolling = Some(open);
        outcome
    }

    /// A blob that no record will refer to.
    pub(crate) async fn upload_and_forget(&mut self, target: &Target, size: u32) {
        assert!(self.greet(target).await, "the server is gone");
        self.writers[0].agent.upload(Some("a/b"), bytes(usize::try_from(size).unwrap())).await;
    }

    /// Requests of every agent, without an end.
    pub(crate) async fn steps(&mut self, random: &mut Random, number: usize) {
        let shared = bytes(50_000);
        for _ in 0..number {
            for writer in &mut self.writers {
                assert_eq!(writer.step(random, &shared).await, Outcome::Done);
            }
        }
    }

    /// Listens to a server that nobody writes to, for a while, and kills it.
    pub(crate) async fn listen(&mut self, server: Server, random: &mut Random) {
        let live = Live::from(&server.target, Some(self.told.seq_back(0))).await;
        sleep(Duration::from_millis(20 + random.below(80))).await;
        server.kill();
        self.seen.push(live.seen().await);
    }

    /// Everything that was acknowledged is there, and nothing that was not is there by half.
    pub(crate) async fn check(&mut self, target: &Target, all: bool) {
        let all = all || self.rounds.is_multiple_of(ALL);
        assert!(self.greet(target).await, "the server is gone");
        if let Some(open) = self.enrolling.take() {
            self.writers.insert(self.first, open.again(target).await);
        }
        let busy = if all { self.writers.len() } else { self.first + NEWEST + OTHERS };
        for writer in self.writers.iter_mut().take(busy) {
            writer.check().await;
            let handle = [("handle", writer.agent.handle.as_str())];
            let resolved = target.query("com.atproto.identity.resolveHandle", &handle).await.ok();
            assert_eq!(text(&resolved, "did"), writer.agent.did);
        }
        let accounts: BTreeSet<_> = list_repos(target).await.iter().map(|repo| text(repo, "did")).collect();
        let agents: BTreeSet<_> = self.writers.iter().map(|writer| writer.agent.did.clone()).collect();
        assert_eq!(accounts, agents, "accounts that nobody knows, or agents without one");
        self.replay(target, all).await;
    }

    /// The log begins as it was told before, and what anybody saw is in it.
    async fn replay(&mut self, target: &Target, all: bool) {
        let mut random = Random(0);
        assert_eq!(self.writers[0].create(&mut random).await, Outcome::Done);
        let (last, rev) = self.writers[0].agent.head().await;
        let did = self.writers[0].agent.did.clone();
        let is_last = move |event: &Event| {
            event.did.as_str() == did
                && matches!(&event.body, Body::Commit(commit) if commit.rev.to_string() == rev)
        };
        let again = if all { usize::MAX } else { TAIL };
        let told = std::mem::replace(&mut self.told, Told::new(target));
        self.told = told.replay_until(target, again, is_last).await;
        assert!(!last.is_empty());
        for seen in self.seen.drain(..) {
            self.told.has(&seen);
        }
        if all {
            self.told.agrees().await;
        }
    }

    /// Introduces every agent to a server that was started anew: tokens name the URL they are for. Whether it is there still.
    async fn greet(&mut self, target: &Target) -> bool {
        let url = format!("{}/tos", target.url);
        let Ok(terms) = target.try_send("GET", &url, &[], Bytes::new()).await else { return false };
        for writer in self.writers.iter_mut().filter(|writer| writer.agent.target.url != target.url) {
            let token = Jwt::token(&writer.agent.key, &terms.body, &target.url).sign(&writer.agent.key);
            writer.agent = TestAgent { target: target.clone(), token, ..writer.agent.clone() };
        }
        true
    }

    /// Lets every record go.
    pub(crate) async fn clear(&mut self, target: &Target) {
        assert!(self.greet(target).await, "the server is gone");
        for writer in &mut self.writers {
            writer.clear().await;
        }
    }

    /// How much there is, for messages and to see that there is enough to show anything.
    pub(crate) fn size(&self) -> Size {
        Size {
            agents: self.writers.len(),
            records: self.writers.iter().map(Writer::len).sum(),
            uploads: self.writers.iter().map(Writer::uploads).sum(),
            events: self.told.len(),
        }
    }
}

/// How much there is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) agents: usize,
    pub(crate) records: usize,
    pub(crate) uploads: usize,
    pub(crate) events: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agents, records, uploads, events } = self;
        write!(f, "{agents} agents, {records} records, {uploads} uploads, {events} events")
    }
}

/// The data directory of a server that is gone: the database is sound, and blobs and objects belong together. Looks at a
/// copy, since looking repairs.
pub(crate) fn files(dir: &Path) {
    let copy = tempfile::tempdir().unwrap();
    for name in ["rookery.db", "rookery.db-wal"] {
        if dir.join(name).exists() {
            fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    let database = Connection::open(copy.path().join("rookery.db")).unwrap();
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap();
    if tables == 0 {
        return;
    }
    let sound: String = database.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let rows = |text: &str| -> BTreeMap<String, i64> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        database.prepare(text).unwrap().query_map((), read).unwrap().map(Result::unwrap).collect()
    };
    let (blobs, garbage) = (rows("SELECT key, size FROM blob"), rows("SELECT key, 0 FROM blob_garbage"));
    let objects = objects(dir);
    for key in &objects {
        assert!(blobs.contains_key(key) || garbage.contains_key(key), "nobody knows the object {key}");
    }
    for (key, size) in blobs {
        assert!(objects.contains(&key), "the object {key} of a blob is gone");
        let length = fs::metadata(dir.join("blobs/objects").join(&key)).unwrap().len();
        assert_eq!(i64::try_from(length).unwrap(), size, "{key}");
    }
}
