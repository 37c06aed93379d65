//! The tasks that watch the accounts and keep relays told.

use crate::firehose::Firehose;
use rookery_pds::app::App;
use rookery_pds::error::Result;
use rookery_pds::relay::{AccountWatch, Announcer};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often each looks whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// Starts the tasks; none where no relay can come.
pub(super) fn announce(tasks: &mut JoinSet<()>, app: &Arc<App>, firehose: &Arc<Firehose>) {
    let relays = Announcer::all(app);
    if relays.is_empty() {
        if app.config.local {
            return;
        }
        tracing::info!(
            "no relay is told of this server, so that the network will not see its agents: set ROOKERY_RELAY_HOSTS, for \
             example to https://bsky.network"
        );
    }
    tasks.spawn(watch(AccountWatch::new(Arc::clone(app))));
    for relay in relays {
        tasks.spawn(tell(relay, Arc::clone(firehose)));
    }
}

async fn watch(mut accounts: AccountWatch) {
    let (mut ticks, mut failing) = (ticks(), false);
    loop {
        ticks.tick().await;
        failing = note(&accounts.tick().await, failing);
    }
}

async fn tell(mut relay: Announcer, firehose: Arc<Firehose>) {
    let (mut ticks, mut failing) = (ticks(), false);
    loop {
        ticks.tick().await;
        failing = note(&relay.tick(firehose.connected()).await, failing);
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Logs the first failure of a row. True when it failed.
fn note(outcome: &Result<()>, failing: bool) -> bool {
    if let Err(error) = outcome
        && !failing
    {
        tracing::warn!(%error, "accounts and relays could not be looked at; it is tried again");
    }
    outcome.is_err()
}
