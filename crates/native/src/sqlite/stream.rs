//! Long reads that produce bytes: each on a blocking thread with a snapshot of its own.
//!
//! A slow reader is waited for, since the channel is short. One that stalls is cut off: an open snapshot keeps
//! the write-ahead log from being reused. The job's outcome travels beside the chunks, so that a stream that
//! was cut off never looks complete.

use super::readers::Readers;
use super::with_sql;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use rookery_pds::ports::{ByteStream, EngineError, SqlError, StreamJob};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Chunks on the way.
const AHEAD: usize = 4;

/// Runs streams, a bounded number at a time.
pub(super) struct Streams {
    readers: Arc<Readers>,
    permits: Arc<Semaphore>,
    /// How long a reader may take nothing.
    stall: Duration,
}

impl Streams {
    pub(super) fn new(readers: Arc<Readers>, at_once: usize, stall: Duration) -> Self {
        Self { readers, permits: Arc::new(Semaphore::new(at_once)), stall }
    }

    /// Starts `job` as soon as one of the places is free.
    pub(super) fn start(&self, job: StreamJob) -> ByteStream {
        let (chunks, received) = mpsc::channel(AHEAD);
        let (outcome, ended) = oneshot::channel();
        let (readers, permits, stall) = (Arc::clone(&self.readers), Arc::clone(&self.permits), self.stall);
        tokio::spawn(async move {
            let permit = tokio::select! {
                permit = permits.acquire_owned() => permit,
                () = chunks.closed() => return,
            };
            let handle = Handle::current();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let sink = Sink { chunks, handle, stall };
                let _ = outcome.send(produce(&readers, sink, job));
            });
        });
        unfold(Some((received, ended)), |state| async {
            let (mut received, ended) = state?;
            if let Some(chunk) = received.recv().await {
                return Some((Ok(chunk), Some((received, ended))));
            }
            // No outcome: the job panicked, or the runtime is going down.
            let failed = || Err(SqlError::Other("the stream's job died".to_owned()).into());
            let error = ended.await.unwrap_or_else(|_| failed()).err()?;
            Some((Err(error), None))
        })
        .boxed()
    }
}

fn produce(readers: &Readers, sink: Sink, job: StreamJob) -> Result<(), EngineError> {
    readers.snapshot(|connection| {
        with_sql(connection, |sql| {
            job(sql, &mut |chunk| {
                if readers.is_stopped() {
                    return Err(SqlError::Other("the server is shutting down".to_owned()));
                }
                sink.send(chunk)
            })
        })
    })
}

/// Where the chunks go.
struct Sink {
    chunks: mpsc::Sender<Bytes>,
    handle: Handle,
    stall: Duration,
}

impl Sink {
    fn send(&self, chunk: Bytes) -> Result<(), SqlError> {
        let chunk = match self.chunks.try_send(chunk) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(SqlError::Aborted),
            Err(mpsc::error::TrySendError::Full(chunk)) => chunk,
        };
        let sent = async { timeout(self.stall, self.chunks.send(chunk)).await };
        match self.handle.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SqlError::Aborted),
            Err(_) => Err(SqlError::Other("the reader stalled".to_owned())),
        }
    }
}
