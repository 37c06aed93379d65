//! The engine of a simulated machine: one SQLite database in memory, and a queue that moves when the schedule says so.
//!
//! What is committed is what a restart finds. Everything else goes wrong in every way that a host knows: a statement fails, a
//! job panics, a commit fails for all that share it, the queue is full, the power goes before or after the commit.

use crate::connection::{Session, control, roll_back};
use crate::outside::pause;
use crate::random::Random;
use crate::strict::Strict;
use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use rookery_pds::ports::{
    ByteStream, Engine, EngineError, Job, Mode, RepoId, Row, Sql, SqlError, StreamJob, Turn, Value, Written,
};
use rusqlite::Connection;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

type Answer = Result<(), EngineError>;

/// What became of a group of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// On disk, and those who asked know it.
    Committed,
    /// Rolled back, and those who asked know it.
    Failed,
    /// The machine went down before the commit.
    LostBefore,
    /// The machine went down after the commit, before anybody was told.
    LostAfter,
}

/// What goes wrong in a job.
#[derive(Clone, Copy)]
enum Fault {
    Full,
    Broken,
    Panic,
}

/// The disk, which outlives the machine.
pub(crate) struct Disk(Mutex<Connection>);

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;").unwrap();
        connection.set_prepared_statement_cache_capacity(256);
        Arc::new(Self(Mutex::new(connection)))
    }

    /// What is on it now.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Connection) -> T) -> T {
        read(&self.0.lock().unwrap())
    }
}

/// The engine of one process.
pub(crate) struct Store {
    disk: Arc<Disk>,
    random: Random,
    queue: Mutex<VecDeque<(Job, oneshot::Sender<Answer>)>>,
    /// None where turns exclude nobody: then nothing but the swap of the head keeps writes in order.
    turns: Option<Mutex<BTreeMap<RepoId, Arc<AsyncMutex<()>>>>>,
    /// Nothing goes wrong while this is set.
    calm: AtomicBool,
    pub(crate) faults: AtomicUsize,
}

impl Store {
    pub(crate) fn new(disk: Arc<Disk>, random: Random, turns: bool) -> Arc<Self> {
        let (queue, turns) = (Mutex::default(), turns.then(Mutex::default));
        let (calm, faults) = (AtomicBool::new(true), AtomicUsize::new(0));
        Arc::new(Self { disk, random, queue, turns, calm, faults })
    }

    pub(crate) fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Jobs that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.lock().unwrap().len()
    }

    /// True once in `times`, and never while all is calm.
    fn unlucky(&self, times: usize) -> bool {
        let unlucky = !self.is_calm() && self.random.once_in(times);
        if unlucky {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        unlucky
    }

    /// Commits some of the jobs that wait, in order.
    pub(crate) fn group(&self) -> Group {
        let count = 1 + self.random.below(self.queued());
        let jobs: Vec<_> = self.queue.lock().unwrap().drain(..count).collect();
        let disk = self.disk.0.lock().unwrap();
        control(&disk, "BEGIN IMMEDIATE").unwrap();
        let mut done = Vec::new();
        for (job, answer) in jobs {
            match self.one(&disk, job) {
                Ok(()) => done.push(answer),
                Err(error) => drop(answer.send(Err(error.into()))),
            }
        }
        if self.unlucky(60) {
            roll_back(&disk);
            return Group::LostBefore;
        }
        if self.unlucky(40) {
            roll_back(&disk);
            for answer in done {
                let _ = answer.send(Err(SqlError::Full("for the commit".to_owned()).into()));
            }
            return Group::Failed;
        }
        control(&disk, "COMMIT").unwrap();
        if self.unlucky(60) {
            return Group::LostAfter;
        }
        for answer in done {
            let _ = answer.send(Ok(()));
        }
        Group::Committed
    }

    /// One job, in a savepoint of its own.
    fn one(&self, disk: &Connection, job: Job) -> Result<(), SqlError> {
        control(disk, "SAVEPOINT job").unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.perform(disk, |sql| job(sql))))
            .unwrap_or_else(|_| Err(SqlError::Other("the job panicked".to_owned())));
        if outcome.is_err() {
            control(disk, "ROLLBACK TO job").unwrap();
        }
        control(disk, "RELEASE job").unwrap();
        outcome
    }

    fn perform<T>(&self, disk: &Connection, job: impl FnOnce(&dyn Sql) -> T) -> T {
        let session = Session(disk);
        let strict = Strict(&session);
        let fault = self.unlucky(12).then(|| *self.random.pick(&[Fault::Full, Fault::Broken, Fault::Panic]));
        let left = fault.map(|_| self.random.below(12));
        job(&Unreliable { sql: &strict, left: Cell::new(left), fault })
    }

    fn read(&self, job: impl FnOnce(&dyn Sql) -> Result<(), SqlError>) -> Answer {
        let disk = self.disk.0.lock().unwrap();
        control(&disk, "BEGIN").unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.perform(&disk, job)));
        roll_back(&disk);
        Ok(outcome.unwrap_or_else(|_| Err(SqlError::Other("the job panicked".to_owned())))?)
    }
}

impl Engine for Store {
    fn submit(&self, mode: Mode, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            pause(&self.random).await;
            if mode == Mode::Read {
                return self.read(job);
            }
            if self.unlucky(80) {
                return Err(EngineError::Overloaded);
            }
            let (answer, answered) = oneshot::channel();
            self.queue.lock().unwrap().push_back((job, answer));
            answered.await.unwrap_or(Err(EngineError::Stopped))
        }
        .boxed()
    }

    fn stream(&self, mut job: Box<dyn StreamJob>) -> ByteStream {
        let mut chunks = Vec::new();
        let end = self.read(|sql| {
            while let Some(chunk) = job.next(sql)? {
                chunks.push(Ok(chunk));
            }
            Ok(())
        });
        chunks.extend(end.err().map(Err));
        StreamExt::boxed(stream::iter(chunks))
    }

    /// Nobody looks.
    fn written(&self) -> Written {
        Written::default()
    }

    fn turn(&self, repo: RepoId) -> BoxFuture<'_, Turn> {
        let turns = self.turns.as_ref();
        let queue = turns.map(|turns| Arc::clone(turns.lock().unwrap().entry(repo).or_default()));
        async move {
            match queue {
                Some(queue) => Turn::new(queue.lock_owned().await),
                None => Turn::free(),
            }
        }
        .boxed()
    }
}

/// Fails at one statement. Those after it go well again, so that a job which does not care leaves half of its work.
struct Unreliable<'a> {
    sql: &'a dyn Sql,
    left: Cell<Option<usize>>,
    fault: Option<Fault>,
}

impl Unreliable<'_> {
    fn statement(&self) -> Result<(), SqlError> {
        let left = self.left.get();
        self.left.set(left.and_then(|left| left.checked_sub(1)));
        match (left, self.fault) {
            (Some(0), Some(Fault::Full)) => Err(SqlError::Full("for a statement".to_owned())),
            (Some(0), Some(Fault::Broken)) => Err(SqlError::Other("disk I/O error".to_owned())),
            // Not `panic!`, which would tell of it on standard error.
            (Some(0), Some(Fault::Panic)) => resume_unwind(Box::new("a job panics")),
            _ => Ok(()),
        }
    }
}

impl Sql for Unreliable<'_> {
    fn exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, SqlError> {
        self.statement()?;
        self.sql.exec(sql, params)
    }

    fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.statement()?;
        self.sql.query(sql, params, each)
    }
}
