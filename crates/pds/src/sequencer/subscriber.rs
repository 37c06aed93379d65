//! One reader of the firehose: where it is, and whether it is too slow (event stream spec, "Sequence Numbers").

use crate::store::event::{Ends, Position};
use rookery_atproto::event;

/// How a subscription begins.
#[derive(Debug)]
pub enum Start {
    /// It goes on after the subscriber's position. The frame, if there is one, is sent first.
    From(Subscriber, Option<Vec<u8>>),
    /// This frame is sent, and the stream closed.
    Refused(Vec<u8>),
}

impl Start {
    /// The cursor is past the end of the log.
    pub(super) fn future() -> Self {
        Self::Refused(event::error("FutureCursor", "Cursor in the future."))
    }
}

/// A reader's place and how far it may be behind.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber {
    at: Position,
    /// How many events it may be behind once it has caught up.
    lag: i64,
    /// How many it may be behind now: until it has caught up, as many more as there were when it came.
    allowed: i64,
    /// True until it was sent an event. What is forgotten until then is not its fault.
    fresh: bool,
}

impl Subscriber {
    /// Starts after `from`, which is the place of its cursor, or the end of the log when it gave none.
    pub(super) fn start(from: Position, ends: Ends, lag: u64) -> Start {
        let lag = i64::try_from(lag).unwrap_or(i64::MAX);
        let allowed = lag.saturating_add(ends.newest.number - from.number);
        let mut subscriber = Self { at: from, lag, allowed, fresh: true };
        let notice = subscriber.outdated(ends);
        Start::From(subscriber, notice)
    }

    /// The notice to send to one that was sent nothing yet, when its place is older than the log. It then starts at the oldest
    /// event.
    pub fn outdated(&mut self, ends: Ends) -> Option<Vec<u8>> {
        if !self.fresh || self.at.seq >= ends.floor {
            return None;
        }
        self.at.seq = ends.floor;
        let text = "The cursor is older than the oldest event that is kept. The stream starts at that one; \
                    fetch the repos that matter with getRepo.";
        Some(event::info("OutdatedCursor", text))
    }

    /// The place after what it was sent last.
    pub fn at(&self) -> Position {
        self.at
    }

    /// It was sent everything up to here, when the log was like this.
    pub fn advance(&mut self, to: Position, ends: Ends) {
        self.at = to;
        self.fresh = false;
        if to.seq >= ends.newest.seq {
            self.allowed = self.lag;
        }
    }

    /// The frame to send before closing, when it is too far behind: more than it may be, or so far that what comes next was
    /// forgotten.
    pub fn too_slow(&self, ends: Ends) -> Option<Vec<u8>> {
        let behind = ends.newest.number - self.at.number;
        (behind > self.allowed || self.at.seq < ends.floor).then(|| {
            let text =
                format!("The stream is {behind} events behind. Connect again with the last seq as cursor.");
            event::error("ConsumerTooSlow", &text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(number: i64) -> Position {
        Position { seq: number * 1000, number }
    }

    fn ends(floor: i64, newest: i64) -> Ends {
        Ends { floor: floor * 1000, newest: position(newest) }
    }

    fn started(start: Start) -> (Subscriber, bool) {
        match start {
            Start::From(subscriber, notice) => (subscriber, notice.is_some()),
            Start::Refused(_) => panic!("refused"),
        }
    }

    #[test]
    fn one_that_starts_at_the_end_is_sent_what_comes() {
        let (live, notice) = started(Subscriber::start(position(10), ends(0, 10), 5));
        assert_eq!((live.at(), notice), (position(10), false));
    }

    #[test]
    fn a_cursor_before_the_floor_starts_at_it_with_a_notice() {
        let log = ends(4, 10);
        let (outdated, notice) = started(Subscriber::start(Position { seq: 3999, number: 4 }, log, 5));
        assert_eq!((outdated.at(), notice), (position(4), true));
        let (exact, notice) = started(Subscriber::start(position(4), log, 5));
        assert_eq!((exact.at(), notice), (position(4), false), "everything after it is there");
    }

    #[test]
    fn a_backlog_is_allowed_until_it_is_read_and_then_only_the_lag() {
        let (mut reader, _) = started(Subscriber::start(position(0), ends(0, 100), 5));
        assert!(reader.too_slow(ends(0, 105)).is_none());
        assert!(reader.too_slow(ends(0, 106)).is_some());
        reader.advance(position(50), ends(0, 106));
        assert!(reader.too_slow(ends(0, 155)).is_none(), "the backlog is still being read");
        reader.advance(position(106), ends(0, 106));
        assert!(reader.too_slow(ends(0, 111)).is_none());
        assert!(reader.too_slow(ends(0, 112)).is_some());
    }

    #[test]
    fn a_reader_whose_next_event_was_forgotten_is_too_slow() {
        let (mut reader, _) = started(Subscriber::start(position(9), ends(0, 10), 1000));
        assert!(reader.outdated(ends(10, 20)).is_some(), "it was sent nothing yet");
        assert_eq!(reader.at().seq, position(10).seq);
        reader.advance(position(10), ends(0, 10));
        assert!(reader.outdated(ends(11, 20)).is_none());
        assert!(reader.too_slow(ends(10, 20)).is_none());
        assert!(reader.too_slow(ends(11, 20)).is_some());
    }
}
