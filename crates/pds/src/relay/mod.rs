//! Relays: told that there is something to crawl, and asked what they make of it.
//!
//! A *relay* reads the firehoses of many servers and is what the rest of the network reads. It comes when it is asked
//! (`com.atproto.sync.requestCrawl`), and says what it knows of a server (`getHostStatus`). It takes a limited number of
//! accounts from a server that it has no agreement with, and says nothing to the others' agents: so the number of accounts
//! is watched here, and the operator is warned before it is reached.
//!
//! The host calls [`AccountWatch::tick`] and the `tick` of each [`Announcer`] every second or so, each from a task of its
//! own: no request waits for a relay, and no relay for another. What is found is told in the log, once for each change,
//! and in `_health`.
//!
//! A host that ends whenever nobody asks for anything, and is started by the next request, ticks from an alarm instead
//! ([`Announcer::next`] says for when) and has the store [keep](Announcer::all_kept) what each relay was told: a start means
//! nothing there.

mod accounts;
mod announcer;
mod exchange;
mod report;
mod schedule;

pub use accounts::AccountWatch;
pub use announcer::Announcer;
pub(crate) use report::Report;

use crate::app::App;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time since the start, from a clock that may be set: it never goes back. Where it is kept, the start is the first one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Elapsed {
    time: Duration,
    wall: i64,
}

impl Elapsed {
    fn start(app: &App) -> Self {
        Self { time: Duration::ZERO, wall: app.now_micros() }
    }

    /// The time now.
    fn read(&mut self, app: &App) -> Duration {
        let wall = app.now_micros();
        let passed = u64::try_from(wall.saturating_sub(self.wall)).unwrap_or(0);
        self.time += Duration::from_micros(passed);
        self.wall = wall;
        self.time
    }
}
