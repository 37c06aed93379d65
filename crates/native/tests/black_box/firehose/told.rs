//! What a server has told, from one start to the next.

use bytes::Bytes;
use rookery_testkit::Target;
use rookery_testkit::firehose::audit::{ends_signup, mark};
use rookery_testkit::firehose::{Auditor, Begin, Event, Frame, Subscription};
use tokio::task::JoinHandle;

/// The log of a server that is stopped and started, as its readers know it.
#[derive(Clone)]
pub(crate) struct Told {
    auditor: Auditor,
    /// Number and bytes of every event.
    log: Vec<(u64, Bytes)>,
}

/// Somebody who reads until the connection is cut.
pub(crate) struct Live {
    cursor: Option<u64>,
    reading: JoinHandle<Vec<(u64, Bytes)>>,
}

/// What somebody saw: the events after the cursor, or from some moment on.
#[derive(Clone)]
pub(crate) struct Seen {
    cursor: Option<u64>,
    events: Vec<(u64, Bytes)>,
}

impl Told {
    /// Nothing yet.
    pub(crate) fn new(target: &Target) -> Self {
        Self { auditor: Auditor::new(target, Begin::Genesis), log: Vec::new() }
    }

    /// The `seq` of the event so far back, 0 before the first.
    pub(crate) fn seq_back(&self, events: usize) -> u64 {
        self.log.len().checked_sub(events + 1).map_or(0, |at| self.log[at].0)
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether there is an event of this number.
    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.log.binary_search_by_key(&seq, |(seq, _)| *seq).is_ok()
    }

    /// Replays everything. What was told before is told again as it was, what is new holds, and all of it together is what
    /// the server has.
    pub(crate) async fn replay(self, target: &Target) -> Self {
        let mark = mark(target).await;
        let told = self.replay_until(target, usize::MAX, ends_signup(&mark)).await;
        told.agrees().await;
        told
    }

    /// Replays as many of the events that were told before, and what is new, up to the last one.
    pub(crate) async fn replay_until(
        mut self,
        target: &Target,
        again: usize,
        is_last: impl FnMut(&Event) -> bool,
    ) -> Self {
        let (old, tail) = self.log.split_at(self.log.len().saturating_sub(again));
        let mut stream = Subscription::open(target, Some(old.last().map_or(0, |(seq, _)| *seq))).await;
        self.auditor = self.auditor.moved(target);
        for (seq, bytes) in tail {
            let again = stream.next().await.expect("the stream goes on");
            assert!(again.bytes == bytes, "event {seq} is another after the restart: {:?}", again.frame);
        }
        self.log.extend(self.auditor.read_until(&mut stream, is_last).await);
        stream.close().await;
        self
    }

    /// Panics unless what was told is what the server has.
    pub(crate) async fn agrees(&self) {
        self.auditor.agrees().await;
    }

    /// Panics unless what somebody saw is in the log, from the cursor on without a gap.
    pub(crate) fn has(&self, seen: &Seen) {
        let Some(from) = seen.cursor.or(seen.events.first().map(|(seq, _)| seq - 1)) else { return };
        let mut logged = self.log.iter().skip_while(|(seq, _)| *seq <= from);
        for (seq, bytes) in &seen.events {
            let (expected, same) = logged.next().unwrap_or_else(|| panic!("event {seq} is not in the log"));
            assert_eq!(seq, expected, "what was sent is not what is in the log");
            assert!(bytes == same, "event {seq} is not what was sent before the server ended");
        }
    }
}

impl Live {
    /// Reads from a cursor, or from now on.
    pub(crate) async fn from(target: &Target, cursor: Option<u64>) -> Self {
        let mut stream = Subscription::open(target, cursor).await;
        let reading = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Ok(received) = stream.wait().await {
                match received.frame {
                    Frame::Event(event) => seen.push((event.seq, received.bytes)),
                    other => panic!("expected an event, found {other:?}"),
                }
            }
            seen
        });
        Self { cursor, reading }
    }
    /// Waits until the connection is cut.
    pub(crate) async fn seen(self) -> Seen {
        Seen { cursor: self.cursor, events: self.reading.await.unwrap() }
    }
}
