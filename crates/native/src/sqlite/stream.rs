//! Long reads that produce bytes: each on a blocking thread, all its steps over one snapshot.
//!
//! A slow reader is waited for, since the channel is short. One that stalls is cut off, and so is one that is so slow
//! that it might as well stall: an open snapshot keeps the write-ahead log from being reused. The job's outcome
//! travels beside the chunks, so that a stream that was cut off never looks complete.

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
use tokio::time::{Instant, timeout};

/// Chunks on the way. A chunk with a large record in it is a megabyte, and readers that stall have all of theirs.
const AHEAD: usize = 1;
/// Bytes a second; a reader may be slower for [`Pace::stall`] in all.
const SLOWEST: u64 = 64 * 1024;

/// Runs streams, a bounded number at a time.
pub(super) struct Streams {
    readers: Arc<Readers>,
    permits: Arc<Semaphore>,
    /// Has no permits; closed when the engine stops, which wakes those who wait for a reader.
    running: Arc<Semaphore>,
    /// How long a reader may take nothing.
    stall: Duration,
}

impl Streams {
    pub(super) fn new(readers: Arc<Readers>, at_once: usize, stall: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(at_once));
        Self { readers, permits, running: Arc::new(Semaphore::new(0)), stall }
    }

    /// Starts `job` as soon as one of the places is free.
    pub(super) fn start(&self, job: Box<dyn StreamJob>) -> ByteStream {
        let (chunks, received) = mpsc::channel(AHEAD);
        let (outcome, ended) = oneshot::channel();
        let (readers, permits, stall) = (Arc::clone(&self.readers), Arc::clone(&self.permits), self.stall);
        let running = Arc::clone(&self.running);
        tokio::spawn(async move {
            let permit = tokio::select! {
                permit = permits.acquire_owned() => permit,
                () = chunks.closed() => return,
            };
            let handle = Handle::current();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let sink = Sink { chunks, handle, running, pace: Pace::new(stall) };
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

    /// Ends what runs at its next chunk.
    pub(super) fn stop(&self) {
        self.running.close();
    }
}

fn produce(readers: &Readers, mut sink: Sink, mut job: Box<dyn StreamJob>) -> Result<(), EngineError> {
    readers.snapshot(|connection| {
        with_sql(connection, |sql| {
            while let Some(chunk) = job.next(sql)? {
                sink.send(chunk)?;
            }
            Ok(())
        })
    })
}

/// Where the chunks go.
struct Sink {
    chunks: mpsc::Sender<Bytes>,
    handle: Handle,
    running: Arc<Semaphore>,
    pace: Pace,
}

impl Sink {
    fn send(&mut self, chunk: Bytes) -> Result<(), SqlError> {
        if self.running.is_closed() {
            return Err(stopping());
        }
        self.pace.sent = self.pace.sent.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        match self.chunks.try_send(chunk) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SqlError::Aborted),
            Err(mpsc::error::TrySendError::Full(chunk)) => self.wait(chunk),
        }
    }

    fn wait(&mut self, chunk: Bytes) -> Result<(), SqlError> {
        let start = Instant::now();
        let sent = self.handle.block_on(async {
            tokio::select! {
                sent = timeout(self.pace.left(), self.chunks.send(chunk)) => match sent {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) => Err(SqlError::Aborted),
                    Err(_) => Err(SqlError::Other("the reader stalled".to_owned())),
                },
                _ = self.running.acquire() => Err(stopping()),
            }
        });
        self.pace.waited += start.elapsed();
        sent
    }
}

fn stopping() -> SqlError {
    SqlError::Other("the server is shutting down".to_owned())
}

/// How slow the reader is.
struct Pace {
    /// How long it may take nothing.
    stall: Duration,
    /// Bytes so far.
    sent: u64,
    /// Time in which there was a chunk, and it took none.
    waited: Duration,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Self { stall, sent: 0, waited: Duration::ZERO }
    }

    /// How long it is waited for now.
    fn left(&self) -> Duration {
        let allowed = self.stall + Duration::from_secs(self.sent / SLOWEST);
        allowed.saturating_sub(self.waited).min(self.stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_waited_for_as_long_as_it_takes_enough() {
        let stall = Duration::from_secs(60);
        let fast = Pace { stall, sent: 1000 * SLOWEST, waited: Duration::from_secs(900) };
        assert_eq!(fast.left(), stall);
        let slow = Pace { stall, sent: 1000 * SLOWEST, waited: Duration::from_secs(1050) };
        assert_eq!(slow.left(), Duration::from_secs(10));
        let trickle = Pace { stall, sent: SLOWEST, waited: Duration::from_secs(61) };
        assert_eq!(trickle.left(), Duration::ZERO);
        assert_eq!(Pace::new(stall).left(), stall);
    }
}
