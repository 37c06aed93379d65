//! The store on one machine: SQLite, embedded, in a single file with a write-ahead log.
//!
//! One thread writes ([`writer`]), any thread reads ([`readers`]), long reads stream from threads of their own
//! ([`stream`]), and [`turns`] keeps the writers of one account in order.

mod connection;
mod copy;
mod readers;
mod stream;
#[cfg(debug_assertions)]
mod strict;
#[cfg(test)]
mod tests;
mod turns;
mod writer;

pub(crate) use copy::{Snapshot, open_copy};
pub(crate) use writer::StartError;

use connection::Session;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use readers::Readers;
use rookery_pds::ports::{
    ByteStream, Engine, EngineError, Job, Mode, RepoId, Sql, SqlError, StreamJob, Turn, Written,
};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stream::Streams;
use tokio::sync::watch;
use turns::Turns;
use writer::Writer;

/// Bounds of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Write jobs in the queue; further ones wait for room.
    pub(crate) queue: usize,
    /// How long they wait before they are refused as overload.
    pub(crate) patience: Duration,
    /// How long the writer waits for another process that writes: nobody does, except an operator's `sqlite3` shell.
    pub(crate) busy: Duration,
    /// Reading connections kept open while idle.
    pub(crate) idle_readers: usize,
    /// Streams that run at once; further ones wait.
    pub(crate) streams: usize,
    /// How long the reader of a stream may take nothing.
    pub(crate) stall: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            queue: 1024,
            patience: Duration::from_secs(5),
            busy: Duration::from_secs(5),
            idle_readers: cores.min(16),
            streams: 32,
            stall: Duration::from_secs(60),
        }
    }
}

/// The engine on one database file.
pub(crate) struct SqliteEngine {
    writer: Writer,
    readers: Arc<Readers>,
    streams: Streams,
    turns: Turns,
}

impl SqliteEngine {
    /// Opens or creates the database at `path`.
    pub(crate) fn open(path: &Path, bounds: Bounds) -> Result<Self, StartError> {
        let writer = Writer::start(path, &bounds)?;
        let readers = Arc::new(Readers::new(path.to_owned(), bounds.idle_readers));
        let streams = Streams::new(Arc::clone(&readers), bounds.streams, bounds.stall);
        Ok(Self { writer, readers, streams, turns: Turns::new() })
    }

    /// Changes each time something has become durable; ends with the engine.
    pub(crate) fn committed(&self) -> watch::Receiver<Written> {
        self.writer.committed()
    }

    /// Takes no more jobs, finishes what is queued, and closes the database. Blocks.
    pub(crate) fn stop(&self) {
        self.readers.stop();
        self.streams.stop();
        self.writer.stop();
    }
}

impl Engine for SqliteEngine {
    fn submit(&self, mode: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>> {
        async move {
            match mode {
                Mode::Read => self.readers.read(job),
                Mode::Write => self.writer.submit(job).await?.await.unwrap_or(Err(EngineError::Stopped)),
            }
        }
        .boxed()
    }

    fn stream(&self, job: Box<dyn StreamJob>) -> ByteStream {
        self.streams.start(job)
    }

    fn turn(&self, repo: RepoId) -> BoxFuture<'_, Turn> {
        async move { Turn::new(self.turns.take(repo).await) }.boxed()
    }

    fn written(&self) -> Written {
        self.writer.written()
    }
}

fn perform(connection: &Connection, job: Job) -> Result<(), SqlError> {
    with_sql(connection, |sql| job(sql))
}

/// Debug builds hold the shared SQL to the other host's limits.
fn with_sql<T>(connection: &Connection, body: impl FnOnce(&dyn Sql) -> T) -> T {
    let session = Session(connection);
    #[cfg(debug_assertions)]
    let session = strict::Strict(&session);
    body(&session)
}
