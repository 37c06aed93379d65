//! A directory of accounts as it is on another machine, and a script of what goes wrong.

use super::Later;
use crate::sqlite::SqliteEngine;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use rookery_atproto::syntax::{Did, Handle, Nsid};
use rookery_auth::jwk::Thumbprint;
use rookery_pds::directory::StoreDirectory;
use rookery_pds::ports::{
    ByteStream, Claim, Clock, Directory, DirectoryError, Engine, EngineError, Entry, Holder, Job, Listed,
    Mode, Page, RepoId, SqlError, StreamJob, Turn, Written,
};
use rookery_pds::store::account::Status;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// What goes wrong at a step, which is a call of the directory or a write to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not done.
    Refused,
    /// It is done and the answer is lost. A store always answers.
    Unanswered,
    /// The process ends before it is done.
    EndsBefore,
    /// It is done, and nobody is there any more.
    EndsAfter,
    /// It waits until it may go on, and is done.
    Waits,
    /// It waits until it may go on, and is not done.
    WaitsInVain,
}

#[derive(Default)]
struct Plan {
    /// Steps until the first fault; none where nothing goes wrong any more.
    left: Option<usize>,
    first: Option<Fault>,
    /// What goes wrong at the step after it.
    second: Option<Fault>,
    happened: bool,
}

pub(super) struct Script {
    plan: Mutex<Plan>,
    ended: watch::Sender<bool>,
    /// One for each step that waits, and for each that may go on.
    waiting: Semaphore,
    go_on: Semaphore,
}

impl Default for Script {
    fn default() -> Self {
        let (waiting, go_on) = (Semaphore::new(0), Semaphore::new(0));
        Self { plan: Mutex::default(), ended: watch::Sender::new(false), waiting, go_on }
    }
}

impl Script {
    /// So many steps go well.
    pub(super) fn fail_at(&self, step: usize, first: Fault, second: Option<Fault>) {
        *self.plan.lock().unwrap() = Plan { left: Some(step), first: Some(first), second, happened: false };
    }

    /// Nothing goes wrong, and the process runs.
    pub(super) fn calm(&self) {
        self.plan.lock().unwrap().left = None;
        self.ended.send_replace(false);
    }

    /// Whether the first fault was come to.
    pub(super) fn happened(&self) -> bool {
        self.plan.lock().unwrap().happened
    }

    /// Returns when a step waits.
    pub(super) async fn waiting(&self) {
        self.waiting.acquire().await.unwrap().forget();
    }

    /// Lets one go on.
    pub(super) fn go_on(&self) {
        self.go_on.add_permits(1);
    }

    /// Returns when the process ends.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    fn loses_answer(&self) -> bool {
        let plan = self.plan.lock().unwrap();
        plan.left == Some(0) && plan.first == Some(Fault::Unanswered)
    }

    fn next(&self) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        match plan.left {
            Some(0) => {
                plan.happened = true;
                let fault = plan.first.take();
                plan.first = plan.second;
                plan.left = plan.first.map(|_| 0);
                fault
            }
            left => {
                plan.left = left.map(|left| left - 1);
                None
            }
        }
    }

    async fn step<T, E>(
        &self,
        done: impl Future<Output = Result<T, E>>,
        lost: impl Fn() -> E,
    ) -> Result<T, E> {
        if *self.ended.borrow() {
            return pending().await;
        }
        let fault = self.next();
        if matches!(fault, Some(Fault::Waits | Fault::WaitsInVain)) {
            self.waiting.add_permits(1);
            self.go_on.acquire().await.unwrap().forget();
        }
        match fault {
            Some(Fault::Refused | Fault::WaitsInVain) => return Err(lost()),
            Some(Fault::EndsBefore) => {
                self.ended.send_replace(true);
                return pending().await;
            }
            Some(Fault::Unanswered | Fault::EndsAfter | Fault::Waits) | None => {}
        }
        let outcome = done.await;
        match fault {
            Some(Fault::Unanswered) => Err(lost()),
            Some(Fault::EndsAfter) => {
                self.ended.send_replace(true);
                pending().await
            }
            _ => outcome,
        }
    }
}

/// The store of a process that may end.
pub(super) struct ScriptedEngine(pub(super) Arc<SqliteEngine>, pub(super) Arc<Script>);

impl Engine for ScriptedEngine {
    fn submit(&self, mode: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>> {
        if mode == Mode::Read {
            return self.0.submit(mode, job);
        }
        async move {
            let full = || EngineError::from(SqlError::Full("for this".to_owned()));
            // What fails is not done: a lost answer is a refusal.
            if self.1.loses_answer() {
                self.1.next();
                return Err(full());
            }
            self.1.step(self.0.submit(mode, job), full).await
        }
        .boxed()
    }

    fn stream(&self, job: Box<dyn StreamJob>) -> ByteStream {
        self.0.stream(job)
    }

    fn turn(&self, repo: RepoId) -> BoxFuture<'_, Turn> {
        self.0.turn(repo)
    }

    fn written(&self) -> Written {
        self.0.written()
    }
}

#[derive(Debug)]
struct Row {
    thumbprint: Thumbprint,
    did: Did,
    handle: Option<Handle>,
    /// None once it is settled.
    until: Option<i64>,
}

/// A table somewhere.
pub(super) struct Elsewhere {
    rows: Mutex<Vec<Row>>,
    script: Arc<Script>,
    clock: Arc<Later>,
    lists: StoreDirectory,
}

impl Elsewhere {
    pub(super) fn new(script: Arc<Script>, clock: Arc<Later>, lists: StoreDirectory) -> Self {
        Self { rows: Mutex::default(), script, clock, lists }
    }

    /// The DID that is settled or claimed for a key.
    pub(super) fn reserved(&self, key: &Thumbprint) -> Option<String> {
        let rows = self.rows.lock().unwrap();
        rows.iter().find(|row| row.thumbprint == *key).map(|row| row.did.to_string())
    }

    /// The DID that is settled for a key.
    pub(super) fn settled(&self, key: &Thumbprint) -> Option<String> {
        let rows = self.rows.lock().unwrap();
        rows.iter().find(|row| row.thumbprint == *key && row.until.is_none()).map(|row| row.did.to_string())
    }

    /// How many claims there are that have not run out.
    pub(super) fn unsettled(&self) -> usize {
        let now = self.clock.now_micros();
        self.rows.lock().unwrap().iter().filter(|row| row.until.is_some_and(|until| until > now)).count()
    }

    /// There is one row for the key and one for the handle, and it is settled.
    #[track_caller]
    pub(super) fn expect_settled(&self, key: &Thumbprint, handle: &Handle, did: &str) {
        let rows = self.rows.lock().unwrap();
        let found: Vec<&Row> =
            rows.iter().filter(|row| row.thumbprint == *key || row.handle.as_ref() == Some(handle)).collect();
        let [row] = found[..] else { panic!("{found:?}") };
        assert_eq!((&row.thumbprint, row.handle.as_ref(), row.did.as_str()), (key, Some(handle), did));
        assert_eq!(row.until, None);
    }

    /// Whether another key has the handle, and whether this one is settled.
    fn look(&self, rows: &[Row], entry: &Entry) -> (bool, bool) {
        let now = self.clock.now_micros();
        let taken = rows.iter().any(|row| {
            row.handle.as_ref() == Some(&entry.handle)
                && row.thumbprint != entry.thumbprint
                && row.until.is_none_or(|until| until > now)
        });
        let settled = rows.iter().any(|row| row.thumbprint == entry.thumbprint && row.until.is_none());
        (taken, settled)
    }

    fn put(rows: &mut Vec<Row>, entry: &Entry, handle: Option<&Handle>, until: Option<i64>) {
        rows.retain(|row| {
            row.thumbprint != entry.thumbprint && (handle.is_none() || row.handle.as_ref() != handle)
        });
        let (thumbprint, did) = (entry.thumbprint, entry.did.clone());
        rows.push(Row { thumbprint, did, handle: handle.cloned(), until });
    }
}

fn lost() -> DirectoryError {
    DirectoryError::Unavailable("no answer".to_owned())
}

impl Directory for Elsewhere {
    fn resolve<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Option<Holder>, DirectoryError>> {
        async move {
            let rows = self.rows.lock().unwrap();
            let row = rows.iter().find(|row| row.handle.as_ref() == Some(handle) && row.until.is_none());
            Ok(row.map(|row| Holder { did: row.did.clone(), status: Status::Active }))
        }
        .boxed()
    }

    fn claim<'a>(&'a self, entry: &'a Entry, until: i64) -> BoxFuture<'a, Result<Claim, DirectoryError>> {
        let done = async move {
            let mut rows = self.rows.lock().unwrap();
            let (taken, settled) = self.look(&rows, entry);
            if taken {
                return Ok(Claim::Taken);
            }
            if !settled {
                Self::put(&mut rows, entry, Some(&entry.handle), Some(until));
            }
            Ok(Claim::Held)
        };
        self.script.step(done, lost).boxed()
    }

    fn settle<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, DirectoryError>> {
        let done = async move {
            let mut rows = self.rows.lock().unwrap();
            let (taken, _) = self.look(&rows, entry);
            let other =
                |row: &Row| row.thumbprint == entry.thumbprint && row.did != entry.did && row.until.is_none();
            assert!(!rows.iter().any(other), "a key has one account");
            Self::put(&mut rows, entry, Some(&entry.handle).filter(|_| !taken), None);
            Ok(!taken)
        };
        self.script.step(done, lost).boxed()
    }

    fn release<'a>(&'a self, did: &'a Did) -> BoxFuture<'a, Result<(), DirectoryError>> {
        let done = async move {
            self.rows.lock().unwrap().retain(|row| row.did != *did || row.until.is_none());
            Ok(())
        };
        self.script.step(done, lost).boxed()
    }

    fn list(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Page<Listed>, DirectoryError>> {
        self.lists.list(after, limit)
    }

    fn list_by_collection<'a>(
        &'a self,
        collection: &'a Nsid,
        after: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<Page<Did>, DirectoryError>> {
        self.lists.list_by_collection(collection, after, limit)
    }
}
