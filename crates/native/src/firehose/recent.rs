//! The newest frames, in memory once for all subscribers, and the budget of everything that is on its way.

use bytes::Bytes;
use rookery_pds::sequencer::{Ends, Frame, Position};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};

/// Bytes of one permit of the budget.
const UNIT: usize = 1024;
/// What a frame takes besides its bytes.
const OVERHEAD: usize = 128;

/// A frame on its way to subscribers. It gives its piece of the budget back when the last one has sent it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) position: Position,
    pub(super) bytes: Bytes,
}

/// Frames for one subscriber.
#[derive(Debug)]
pub(super) enum Taken {
    /// These come next; none when there is nothing newer.
    Frames(Vec<Shared>),
    /// What comes next is not in memory any more.
    InTheLog,
}

/// The newest frames.
pub(super) struct Recent {
    kept: RwLock<Kept>,
    /// Bytes that `kept` may have: half of the budget, so that the other half is there for pages.
    most: usize,
    budget: Arc<Semaphore>,
    /// How many wait for a piece of the budget.
    waiting: watch::Sender<usize>,
    /// Where the log is. Changes when there is something new.
    ends: watch::Sender<Ends>,
}

struct Kept {
    frames: VecDeque<Shared>,
    bytes: usize,
    /// All events after this one and up to the newest are in `frames`; none while nobody listens.
    after: Option<i64>,
}

impl Recent {
    pub(super) fn new(ends: Ends, memory: usize) -> Self {
        Self {
            kept: RwLock::new(Kept { frames: VecDeque::new(), bytes: 0, after: None }),
            most: memory / 2,
            budget: Arc::new(Semaphore::new(memory / UNIT)),
            waiting: watch::Sender::new(0),
            ends: watch::Sender::new(ends),
        }
    }

    /// The newest event that was seen; none while nobody listens.
    pub(super) fn newest(&self) -> Option<i64> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.frames.back().map(|frame| frame.position.seq).or(kept.after)
    }

    /// Tells when there is something new, and where the log is.
    pub(super) fn watch(&self) -> watch::Receiver<Ends> {
        self.ends.subscribe()
    }

    /// Nobody listens.
    pub(super) fn forget(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept { frames: VecDeque::new(), bytes: 0, after: None };
    }

    /// Somebody listens again: what is new from here on is kept.
    pub(super) fn start_after(&self, ends: Ends) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.after = Some(ends.newest.seq);
        drop(kept);
        self.ends.send_replace(ends);
    }

    /// Keeps the frames that follow on the newest, as far as the budget goes.
    pub(super) fn push(&self, frames: Vec<Frame>, ends: Ends) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for frame in frames {
            let size = frame.bytes.len() + OVERHEAD;
            while kept.bytes + size > self.most && kept.drop_oldest() {}
            let permit = loop {
                match Arc::clone(&self.budget).try_acquire_many_owned(units(size)) {
                    Ok(permit) => break Some(permit),
                    Err(_) => {
                        if !kept.drop_oldest() {
                            break None;
                        }
                    }
                }
            };
            match permit {
                Some(permit) => {
                    kept.bytes += size;
                    kept.frames.push_back(shared(frame, &Arc::new(permit)));
                }
                // Slow subscribers hold it all. Whoever needs this frame reads it from the log.
                None => kept.after = Some(frame.position.seq),
            }
        }
        drop(kept);
        self.ends.send_replace(ends);
    }

    /// The frames after the event `seq`, up to `most` bytes, but one at least.
    pub(super) fn take(&self, seq: i64, most: usize) -> Taken {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.after.is_none_or(|after| seq < after) {
            return Taken::InTheLog;
        }
        let first = kept.frames.partition_point(|frame| frame.position.seq <= seq);
        let mut bytes = 0;
        let fits = |frame: &&Shared| {
            let fits = bytes == 0 || bytes + frame.bytes.len() <= most;
            bytes += frame.bytes.len();
            fits
        };
        Taken::Frames(kept.frames.range(first..).take_while(fits).cloned().collect())
    }

    /// A piece of the budget for a page of `bytes`. Waits until there is one.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(permit) = Arc::clone(&self.budget).try_acquire_many_owned(units(bytes)) {
            return Ok(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        Arc::clone(&self.budget).acquire_many_owned(units(bytes)).await
    }

    /// Returns as soon as somebody waits for a piece of the budget.
    pub(super) async fn scarce(&self) {
        // The sender is here, so the channel is open.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }
}

/// Counts one who waits, also when the wait is given up.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|waiting| *waiting += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl Kept {
    /// False when there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.frames.pop_front() else { return false };
        self.bytes -= oldest.bytes.len() + OVERHEAD;
        self.after = Some(oldest.position.seq);
        true
    }
}

/// The frames of a page, which hold its piece of the budget together.
pub(super) fn page(frames: Vec<Frame>, permit: OwnedSemaphorePermit) -> Vec<Shared> {
    let permit = Arc::new(permit);
    frames.into_iter().map(|frame| shared(frame, &permit)).collect()
}

fn shared(frame: Frame, permit: &Arc<OwnedSemaphorePermit>) -> Shared {
    struct Held(Vec<u8>, #[expect(dead_code, reason = "held for its Drop")] Arc<OwnedSemaphorePermit>);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Shared { position: frame.position, bytes: Bytes::from_owner(Held(frame.bytes, Arc::clone(permit))) }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 64 * UNIT;

    fn at(number: i64) -> Position {
        Position { seq: number * 10, number }
    }

    fn ends(number: i64) -> Ends {
        Ends { floor: 0, newest: at(number) }
    }

    fn frame(number: i64, size: usize) -> Frame {
        Frame { position: at(number), bytes: vec![0; size] }
    }

    fn numbers(taken: Taken) -> Option<Vec<i64>> {
        match taken {
            Taken::Frames(frames) => Some(frames.iter().map(|frame| frame.position.number).collect()),
            Taken::InTheLog => None,
        }
    }

    #[test]
    fn what_follows_on_a_position_is_taken_up_to_a_size() {
        let recent = Recent::new(ends(5), MEMORY);
        assert_eq!(numbers(recent.take(50, 1000)), None, "nobody listens");
        recent.start_after(ends(5));
        assert_eq!(numbers(recent.take(50, 1000)), Some(vec![]));
        recent.push(vec![frame(6, 300), frame(7, 300), frame(8, 300)], ends(8));
        assert_eq!(numbers(recent.take(50, 1000)), Some(vec![6, 7, 8]));
        assert_eq!(numbers(recent.take(60, 600)), Some(vec![7, 8]));
        assert_eq!(numbers(recent.take(65, 1)), Some(vec![7]), "one at least");
        assert_eq!(numbers(recent.take(80, 1000)), Some(vec![]));
        assert_eq!(numbers(recent.take(49, 1000)), None);
        recent.forget();
        assert_eq!((numbers(recent.take(80, 1000)), recent.newest()), (None, None));
    }

    #[test]
    fn the_oldest_go_when_half_of_the_budget_is_used() {
        let recent = Recent::new(ends(0), MEMORY);
        recent.start_after(ends(0));
        for number in 1..=100 {
            recent.push(vec![frame(number, UNIT - OVERHEAD)], ends(number));
        }
        assert_eq!(numbers(recent.take(0, 1)), None);
        assert_eq!(numbers(recent.take(68 * 10, MEMORY)).map(|kept| kept.len()), Some(32));
        assert_eq!(recent.budget.available_permits(), 32);
    }

    #[tokio::test]
    async fn frames_that_somebody_holds_stay_counted_until_the_last_is_gone() {
        let recent = Recent::new(ends(0), MEMORY);
        recent.start_after(ends(0));
        recent.push((1..=32).map(|number| frame(number, UNIT - OVERHEAD)).collect(), ends(32));
        let slow = recent.take(0, MEMORY);
        let page = page(vec![frame(1, 10), frame(2, 10)], recent.reserve(32 * UNIT).await.unwrap());
        assert_eq!(recent.budget.available_permits(), 0);

        recent.push(vec![frame(33, 10)], ends(33));
        assert_eq!(recent.newest(), Some(330), "it is known, but not kept");
        assert_eq!(numbers(recent.take(320, 10)), None);
        assert_eq!(numbers(recent.take(330, 10)), Some(vec![]));

        drop(slow);
        assert_eq!(recent.budget.available_permits(), 32);
        let (first, second) = (page[0].clone(), page[1].clone());
        drop(page);
        drop(first);
        assert_eq!(recent.budget.available_permits(), 32);
        drop(second);
        assert_eq!(recent.budget.available_permits(), 64);
    }
}
