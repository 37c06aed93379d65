//! The one thread that writes, with group commit.
//!
//! It takes what is queued, runs it in one transaction with a savepoint for each job, and commits. The commit
//! waits for the disk; only then is anybody answered. So a hundred writers share one wait, and a job that
//! fails or panics takes nobody with it.
//!
//! The queue is short. Who finds it full waits in front of it, in order, and is refused when that takes too long: a
//! burst is over in less time than its senders would need to try again, while a disk that does not keep up has to be told.
//!
//! Checkpoints are the writer's as well, between two commits: SQLite's own ones hide their errors, and let those wait whose
//! commit is done.

use super::connection::{
    LOG_PAGE, LogPages, checkpoint, control, end_the_process, execute, is_undone, open_writer, refusal,
    roll_back,
};
use super::{Bounds, perform};
use crate::data_dir::sync_dir;
use rookery_pds::ports::{EngineError, Job, SqlError, Written};
use rusqlite::Connection;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

/// Jobs that share a commit. More would let the first of them wait longer than it gains.
const GROUP: usize = 256;
/// Pages in the write-ahead log from which on they are copied into the database file after a commit.
const CHECKPOINT_PAGES: i32 = 4000;
/// How long the last checkpoint waits for readers.
const LAST_CHECKPOINT: Duration = Duration::from_secs(1);

type Answer = Result<(), EngineError>;

/// A job in the queue, and who waits for it.
struct Queued {
    job: Job,
    answer: oneshot::Sender<Answer>,
    /// Makes room for the next when the job's turn comes.
    place: OwnedSemaphorePermit,
}

/// The writer's queue, and its thread.
pub(super) struct Writer {
    /// `None` once the engine stops; the thread then finishes what is queued.
    queue: RwLock<Option<Sender<Queued>>>,
    /// Room in the queue.
    places: Arc<Semaphore>,
    /// How long a job waits for room.
    patience: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What is durable so far; changes after each commit.
    committed: watch::Receiver<Written>,
}

impl Writer {
    /// Opens the database and starts the thread.
    pub(super) fn start(path: &Path, bounds: &Bounds) -> Result<Self, StartError> {
        let (connection, log) = open_writer(path, bounds.busy)?;
        // SQLite does so as well, at the first commit, and does not look whether it worked. Without its name the log is lost.
        path.parent().map_or(Ok(()), sync_dir).map_err(StartError::Names)?;
        let (queue, jobs) = channel();
        let (commits, committed) = watch::channel(Written::default());
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write(connection, &log, &jobs, &commits))?;
        Ok(Self {
            queue: RwLock::new(Some(queue)),
            places: Arc::new(Semaphore::new(bounds.queue)),
            patience: bounds.patience,
            thread: Mutex::new(Some(thread)),
            committed,
        })
    }

    /// Changes each time something has become durable.
    pub(super) fn committed(&self) -> watch::Receiver<Written> {
        self.committed.clone()
    }

    /// What is durable so far.
    pub(super) fn written(&self) -> Written {
        *self.committed.borrow()
    }

    /// Queues `job`. The answer comes when it is on disk, or has failed.
    pub(super) async fn submit(&self, job: Job) -> Result<oneshot::Receiver<Answer>, EngineError> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => timeout(self.patience, Arc::clone(&self.places).acquire_owned())
                .await
                .map_err(|_| EngineError::Overloaded)?
                .map_err(|_| EngineError::Stopped)?,
        };
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let queued = queue.as_ref().is_some_and(|queue| queue.send(Queued { job, answer, place }).is_ok());
        if queued { Ok(answered) } else { Err(EngineError::Stopped) }
    }

    /// Takes no more jobs, finishes what is queued, checkpoints and closes. Blocks.
    pub(super) fn stop(&self) {
        self.places.close();
        self.queue.write().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the writer had died");
        }
    }
}

/// Why the writer could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// SQLite refused.
    #[error("cannot open the database: {0}")]
    Open(#[from] rusqlite::Error),
    /// The directory could not be synced.
    #[error("cannot make the names of the database and its log durable: {0}")]
    Names(io::Error),
    /// No thread.
    #[error("cannot start the writer thread: {0}")]
    Thread(#[from] io::Error),
}

fn write(connection: Connection, log: &LogPages, jobs: &Receiver<Queued>, commits: &watch::Sender<Written>) {
    let mut tally = Tally { written: Written::default(), log: Arc::clone(log), log_pages: 0 };
    let mut group = Vec::with_capacity(GROUP);
    while let Ok(first) = jobs.recv() {
        group.push(first);
        group.extend(jobs.try_iter().take(GROUP - 1));
        let done = Vec::with_capacity(group.len());
        Group { connection: &connection, commits, tally: &mut tally, done, refused: false }
            .run(group.drain(..));
        if log.load(Ordering::Relaxed) >= CHECKPOINT_PAGES {
            shorten(&connection, log);
        }
    }
    close(connection);
}

/// One transaction in the making.
struct Group<'a> {
    connection: &'a Connection,
    /// Told of the commit.
    commits: &'a watch::Sender<Written>,
    tally: &'a mut Tally,
    /// Jobs that went well so far; they wait for the commit.
    done: Vec<oneshot::Sender<Answer>>,
    /// No transaction could be started.
    refused: bool,
}

impl Group<'_> {
    fn run(mut self, jobs: impl Iterator<Item = Queued>) {
        for Queued { job, answer, place } in jobs {
            drop(place);
            match self.begin().and_then(|()| Ok(self.one(job)?)) {
                Ok(()) => self.done.push(answer),
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            }
        }
        self.commit();
    }

    /// Fails when somebody else, such as an operator's shell, holds the database. That is waited for once a group: were
    /// it once a job, the queue would move on by a job each [`Bounds::busy`].
    fn begin(&mut self) -> Answer {
        if self.connection.is_autocommit() && !self.refused {
            let begun = control(self.connection, "BEGIN IMMEDIATE");
            self.refused =
                begun.inspect_err(|error| tracing::error!(%error, "cannot start a transaction")).is_err();
        }
        if self.refused { Err(EngineError::Overloaded) } else { Ok(()) }
    }

    fn one(&mut self, job: Job) -> Result<(), SqlError> {
        control(self.connection, "SAVEPOINT job")?;
        let outcome = catch_unwind(AssertUnwindSafe(|| perform(self.connection, job)))
            .unwrap_or_else(|panic| Err(SqlError::Other(format!("the job panicked: {}", told(&*panic)))));
        if self.connection.is_autocommit() {
            return Err(self.lost(outcome));
        }
        if outcome.is_err() {
            control(self.connection, "ROLLBACK TO job").or_else(|error| self.give_up(error))?;
        }
        if !self.connection.is_autocommit() {
            control(self.connection, "RELEASE job").or_else(|error| self.give_up(error))?;
        }
        outcome
    }

    /// Some errors (a full disk, a failing one) end the whole transaction, and the jobs before with it.
    fn lost(&mut self, outcome: Result<(), SqlError>) -> SqlError {
        let error =
            outcome.err().unwrap_or_else(|| SqlError::Other("the transaction was ended by a job".to_owned()));
        self.fail(&error);
        error
    }

    fn give_up(&mut self, error: SqlError) -> Result<(), SqlError> {
        roll_back(self.connection);
        self.fail(&error);
        Err(error)
    }

    fn commit(mut self) {
        if self.connection.is_autocommit() {
            return;
        }
        match execute(self.connection, "COMMIT") {
            Ok(()) => {
                self.commits.send_replace(self.tally.add(self.connection, self.done.len()));
                for answer in self.done.drain(..) {
                    let _ = answer.send(Ok(()));
                }
            }
            Err(error) if is_undone(&error) => {
                roll_back(self.connection);
                tracing::error!(%error, jobs = self.done.len(), "a commit failed; nothing of it was kept");
                self.fail(&refusal(&error));
            }
            Err(error) => end_the_process(&error),
        }
    }

    fn fail(&mut self, error: &SqlError) {
        for answer in self.done.drain(..) {
            let _ = answer.send(Err(copy(error).into()));
        }
    }
}

/// Counts what becomes durable.
struct Tally {
    written: Written,
    log: LogPages,
    /// Pages in the log after the last commit.
    log_pages: i32,
}

impl Tally {
    /// Adds a commit of so many jobs.
    fn add(&mut self, connection: &Connection, jobs: usize) -> Written {
        let pages = self.log.load(Ordering::Relaxed);
        // Once all of the log is in the database file it begins anew.
        let new = if pages < self.log_pages { pages } else { pages - self.log_pages };
        self.log_pages = pages;
        self.written.commits += 1;
        self.written.jobs += jobs as u64;
        self.written.rows = connection.total_changes();
        self.written.log_bytes += u64::from(new.unsigned_abs()) * LOG_PAGE;
        self.written
    }
}

/// Everybody in the group is told the same.
fn copy(error: &SqlError) -> SqlError {
    match error {
        SqlError::Full(text) => SqlError::Full(text.clone()),
        // Not their job's own constraint or column: nothing for them to act on.
        other => SqlError::Other(other.to_string()),
    }
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Copies the log into the database as far as no reader needs what is there. What does not work now is tried again after the
/// next commit, with a longer log.
fn shorten(connection: &Connection, log: &LogPages) {
    match checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
        // The next commit begins at the front again.
        Ok(true) => log.store(0, Ordering::Relaxed),
        Ok(false) => {}
        Err(error) => tracing::error!(error = %refusal(&error), "a checkpoint failed; the log gets longer"),
    }
}

fn close(connection: Connection) {
    let checkpoint = connection
        .busy_timeout(LAST_CHECKPOINT)
        .and_then(|()| checkpoint(&connection, "PRAGMA wal_checkpoint(TRUNCATE)"));
    match checkpoint {
        Ok(true) => {}
        Ok(false) => {
            tracing::debug!("a read was still open at the last checkpoint; the next start replays the log")
        }
        Err(error) => {
            let error = refusal(&error);
            tracing::warn!(%error, "the last checkpoint failed; the next start replays the log");
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(error = %refusal(&error), "could not close the database");
    }
}
