//! The SQL port: jobs in, transactions out.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde::Serialize;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

/// A bound parameter. Integers stay below 2^53: on Cloudflare they pass through JavaScript.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// An integer, in magnitude below 2^53.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes, at most 2 MB.
    Blob(&'a [u8]),
}

/// One result row; columns are counted from 0.
pub trait Row {
    /// The integer in column `i`.
    fn int(&self, i: usize) -> Result<i64, SqlError>;
    /// The text in column `i`.
    fn text(&self, i: usize) -> Result<&str, SqlError>;
    /// The bytes in column `i`.
    fn blob(&self, i: usize) -> Result<&[u8], SqlError>;
    /// True when column `i` is NULL.
    fn is_null(&self, i: usize) -> Result<bool, SqlError>;
}

/// A connection inside a transaction that the host controls: SQL text never says BEGIN or COMMIT.
pub trait Sql {
    /// Runs a statement and returns how many rows it changed.
    fn exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, SqlError>;
    /// Runs a query and calls `each` for every row, in order. An error from `each` ends the query and is returned.
    fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError>;
}

/// What went wrong inside a job, seen from SQL.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// A UNIQUE, PRIMARY KEY or CHECK constraint refused the statement. The text names it.
    #[error("constraint refused the row: {0}")]
    Constraint(String),
    /// The disk is full.
    #[error("no space left for the database: {0}")]
    Full(String),
    /// A column had another type than asked for.
    #[error("column {column}: {problem}")]
    Column {
        /// Counted from 0.
        column: usize,
        /// What was found.
        problem: String,
    },
    /// Anything else the database said.
    #[error("database: {0}")]
    Other(String),
    /// The job itself gave up; the transaction rolls back and the cause reaches the caller of [`run`].
    #[error("the job was given up")]
    Aborted,
}

/// What a job may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One consistent snapshot, short; never waits for the writer.
    Read,
    /// Reads and writes; durable when the future resolves. A job that fails rolls back alone.
    Write,
}

/// A unit of work in one transaction. `Err` rolls it back.
pub type Job = Box<dyn FnOnce(&dyn Sql) -> Result<(), SqlError> + Send>;

/// A long read that produces bytes, step by step. It keeps no snapshot between two steps: the host sees to it that all of
/// them find the same content, by one snapshot that stays open or by taking the steps that are left before it writes.
pub trait StreamJob: Send {
    /// The next chunk, of tens of kilobytes or one large block, or `None` at the end. An empty one says that nothing was
    /// found yet in a search that goes on. After an error there is no further step.
    fn next(&mut self, sql: &dyn Sql) -> Result<Option<Bytes>, SqlError>;
}

/// What a [`StreamJob`] produces. An `Err` item ends it, and means that the bytes before it are not the whole.
pub type ByteStream = BoxStream<'static, Result<Bytes, EngineError>>;

/// The local number of an account's repo; small and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId(pub i64);

/// An account's place in the queue of its writers; the next writer goes when this is dropped.
pub struct Turn(#[expect(dead_code, reason = "held for its Drop")] Option<Box<dyn Send>>);

impl Turn {
    /// A turn that ends when `guard` is dropped.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }

    /// A turn where the host already runs one request at a time.
    pub fn free() -> Self {
        Self(None)
    }
}

/// Why a job did not take effect.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The job or its commit failed; nothing of it was kept.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// Too many jobs wait already; nothing was run.
    #[error("the store is overloaded")]
    Overloaded,
    /// The engine is stopping; nothing was run.
    #[error("the store is shutting down")]
    Stopped,
}

/// What a store has written since it was opened, as far as its host knows: what `_health` tells an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Transactions that became durable.
    pub commits: u64,
    /// Jobs in them.
    pub jobs: u64,
    /// Rows that they inserted, changed or deleted.
    pub rows: u64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
}

/// The store.
pub trait Engine: Send + Sync {
    /// Runs `job` in one transaction. When a [`Mode::Write`] job resolves to `Ok`, its effects are durable.
    fn submit(&self, mode: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>>;
    /// Starts `job` and hands out its chunks as the reader takes them, in bounded memory: no step is taken while the
    /// chunks of earlier ones wait. Dropping the stream ends the job, and so does a reader that stalls for too long where
    /// that would hold up others.
    fn stream(&self, job: Box<dyn StreamJob>) -> ByteStream;
    /// Waits until no other request writes to `repo`.
    fn turn(&self, repo: RepoId) -> BoxFuture<'_, Turn>;
    /// What was written so far.
    fn written(&self) -> Written;
}

/// Runs `job` on `engine` and brings its answer back. `E` is the caller's own error: a job that
/// returns it is rolled back, and it arrives here unchanged.
pub async fn run<T, E>(
    engine: &dyn Engine,
    mode: Mode,
    job: impl FnOnce(&dyn Sql) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<EngineError> + Send + StdError + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let inner = Arc::clone(&slot);
    let submitted = engine
        .submit(
            mode,
            Box::new(move |sql| {
                let outcome = job(sql);
                let failed = outcome.is_err();
                *inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                if failed { Err(SqlError::Aborted) } else { Ok(()) }
            }),
        )
        .await;
    let outcome = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (submitted, outcome) {
        (Ok(()), Some(Ok(value))) => Ok(value),
        (_, Some(Err(error))) => Err(error),
        (Err(error), _) => Err(error.into()),
        (Ok(()), None) => Err(EngineError::Stopped.into()),
    }
}
