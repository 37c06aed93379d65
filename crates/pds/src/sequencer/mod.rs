//! The firehose: events enter the log in the transaction of what they tell, and leave it in order.
//!
//! Terms: an *event* is a row of the log; a *frame* is an event with its `seq`, ready to be sent; a *position* is a place in
//! the log, after an event. A host reads frames with [`App::events`] and keeps a [`Subscriber`] for each connection. No
//! other order is needed than that of `seq`: an event is in the log when the transaction of its commit is, and
//! transactions of writes follow one another.

pub(crate) mod emit;
mod subscriber;

pub use crate::store::event::{Ends, Position};
pub use subscriber::{Start, Subscriber};

use crate::app::App;
use crate::error::{Result, internal, invalid_request};
use crate::http::params::Params;
use crate::store;
use http::request::Parts;

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

impl App {
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
    pub async fn event_ends(&self) -> Result<Ends> {
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

    /// Forgets events that are past the bounds of the configuration, step by step.
    pub async fn prune_events(&self) -> Result<()> {
        let age = i64::try_from(self.config.retention.age.as_micros()).map_err(internal)?;
        let before = self.now_micros().saturating_sub(age);
        let keep = i64::try_from(self.config.retention.events).unwrap_or(i64::MAX);
        loop {
            // Most of the time there is nothing to do, and then no writer is asked.
            if !self.read(move |sql| Ok(store::event::prunable(sql, before, keep)?)).await? {
                return Ok(());
            }
            let gone =
                self.write(move |sql| Ok(store::event::prune(sql, before, keep, FORGET_AT_ONCE)?)).await?;
            if gone < FORGET_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }
}

/// The `cursor` of a request: the `seq` after which to start.
pub fn cursor(parts: &Parts) -> Result<Option<i64>> {
    let params = Params::of(parts)?;
    let Some(text) = params.given("cursor") else { return Ok(None) };
    // Digits alone: `parse` would take a sign too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(cursor) if digits => Ok(Some(cursor)),
        _ => Err(invalid_request(format!(
            "The cursor {text:?} is not one: it is the seq of the last event that was seen. Leave it out to start now."
        ))),
    }
}

fn gap(position: Position) -> crate::ports::SqlError {
    crate::ports::SqlError::Other(format!("the gap of event {} is outside of it", position.seq))
}
