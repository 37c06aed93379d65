//! The log, as it is read and forgotten.

use super::{Ends, Position, Start, Subscriber};
use crate::config::Retention;
use crate::error::{Result, internal};
use crate::ports::{Clock, Engine, Mode, Sql, SqlError, run};
use crate::store;
use std::sync::Arc;

/// Events forgotten in one transaction at most, so that no writer waits for it long.
const FORGET_AT_ONCE: i64 = 100;
/// What a frame in memory takes besides its bytes, with room for the number; so that many small ones are counted too.
const FRAME_OVERHEAD: usize = 128;

/// An event that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The place after it.
    pub position: Position,
    /// Header and body.
    pub bytes: Vec<u8>,
}

/// Frames that follow on a position.
#[derive(Debug)]
pub struct Page {
    /// In order, without a gap. Empty when there is nothing newer, or when the first is larger than was asked for.
    pub frames: Vec<Frame>,
    /// What the next frame takes, if it did not fit.
    pub next: Option<usize>,
    /// The log at the same moment. When `floor` is past the position asked for, events in between are gone.
    pub ends: Ends,
}

/// The event log of a store.
pub struct Log {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    retention: Retention,
}

impl Log {
    /// The log of a store that has its schema.
    pub(crate) fn new(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, retention: Retention) -> Self {
        Self { engine, clock, retention }
    }

    /// The frames after the event `seq`, as many as fit into `most` bytes of memory.
    pub async fn events(&self, seq: i64, most: usize) -> Result<Page> {
        self.read(move |sql| {
            let (mut frames, mut bytes, mut next) = (Vec::new(), 0, None);
            store::event::after(sql, seq, |event| {
                let length = event.frame.bytes.len() + FRAME_OVERHEAD;
                bytes += length;
                if bytes > most {
                    next = Some(length);
                    return Ok(false);
                }
                let number = event.position.seq.unsigned_abs();
                let frame = event.frame.frame(number).ok_or_else(|| gap(event.position))?;
                frames.push(Frame { position: event.position, bytes: frame });
                Ok(true)
            })?;
            Ok(Page { frames, next, ends: store::event::ends(sql)? })
        })
        .await
    }

    /// Where the log begins and ends.
    pub async fn ends(&self) -> Result<Ends> {
        self.read(|sql| Ok(store::event::ends(sql)?)).await
    }

    /// Where a subscriber starts that gives this cursor, or none, and may fall `lag` events behind.
    pub async fn subscribe(&self, cursor: Option<i64>, lag: u64) -> Result<Start> {
        self.read(move |sql| {
            let ends = store::event::ends(sql)?;
            let from = match cursor {
                Some(cursor) if cursor > ends.newest.seq => return Ok(Start::future()),
                Some(cursor) => store::event::position_of(sql, cursor)?,
                None => ends.newest,
            };
            Ok(Subscriber::start(from, ends, lag))
        })
        .await
    }

    /// Forgets events that are past the bounds, step by step.
    pub async fn prune(&self) -> Result<()> {
        let age = i64::try_from(self.retention.age.as_micros()).map_err(internal)?;
        let before = self.clock.now_micros().saturating_sub(age);
        let keep = i64::try_from(self.retention.events).unwrap_or(i64::MAX);
        loop {
            // Most of the time there is nothing to do, and then no writer is asked.
            if !self.read(move |sql| Ok(store::event::prunable(sql, before, keep)?)).await? {
                return Ok(());
            }
            let prune = move |sql: &dyn Sql| -> Result<u64> {
                Ok(store::event::prune(sql, before, keep, FORGET_AT_ONCE)?)
            };
            let gone = run(self.engine.as_ref(), Mode::Write, prune).await?;
            if gone < FORGET_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(self.engine.as_ref(), Mode::Read, job).await
    }
}

fn gap(position: Position) -> SqlError {
    SqlError::Other(format!("the gap of event {} is outside of it", position.seq))
}
