//! Connections for reading. Each reads one snapshot; none waits for the writer.
//!
//! A short read runs on the thread that asks, which is one of the runtime's: handing it to another and back costs more
//! than most reads take. So it holds up what else that thread has to do, for as long as it takes. That is microseconds
//! from a cache, a disk access or a few from a cold one; what reads a page of many rows is bounded by its limit, and what
//! reads a whole repo is a stream. No more connections are in use than there are threads.

use super::connection::{control, open_reader, refusal, roll_back};
use super::perform;
use rookery_pds::ports::{EngineError, Job, SqlError};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The pool. It opens another connection when all are busy, and keeps some.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// How many idle connections are kept.
    keep: usize,
    stopped: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: PathBuf, keep: usize) -> Self {
        Self { path, idle: Mutex::default(), keep, stopped: AtomicBool::new(false) }
    }

    /// Runs a short job on the calling thread.
    pub(super) fn read(&self, job: Job) -> Result<(), EngineError> {
        self.snapshot(|connection| perform(connection, job))
    }

    /// Runs `body` over one snapshot, on the calling thread.
    pub(super) fn snapshot(
        &self,
        body: impl FnOnce(&Connection) -> Result<(), SqlError>,
    ) -> Result<(), EngineError> {
        if self.is_stopped() {
            return Err(EngineError::Stopped);
        }
        let reader = Reader { connection: Some(self.connection()?), pool: self };
        let Some(connection) = &reader.connection else { return Err(EngineError::Stopped) };
        control(connection, "BEGIN")?;
        body(connection)?;
        control(connection, "COMMIT")?;
        Ok(())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Takes no more jobs and closes what is idle.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn connection(&self) -> Result<Connection, SqlError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => open_reader(&self.path).map_err(|error| refusal(&error)),
        }
    }
}

/// A connection out of the pool; it goes back without a transaction, also when the job failed or panicked.
struct Reader<'a> {
    connection: Option<Connection>,
    pool: &'a Readers,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        roll_back(&connection);
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_autocommit() && idle.len() < self.pool.keep && !self.pool.is_stopped() {
            idle.push(connection);
        }
    }
}
