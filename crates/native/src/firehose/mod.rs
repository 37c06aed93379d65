//! `com.atproto.sync.subscribeRepos`: the event log, to everybody who listens.
//!
//! One task follows the log: after each commit it reads what is new, makes the frames, and keeps them among the [`recent`]
//! ones, which all subscribers share. A subscriber ([`subscriber`]) that is up to date takes from those; one that is
//! further behind, or has just come with a cursor, reads pages of the log itself until it has caught up. Both ways go by
//! position, so that a change between them neither skips nor repeats an event.
//!
//! Every frame in memory holds a piece of one budget until the last subscriber has sent it. When the budget is used up,
//! nothing more is kept, and who needs a page waits until others are done with theirs.

mod handshake;
mod recent;
mod subscriber;
#[cfg(test)]
mod tests;

use crate::config::Subscribers;
use axum::Router;
use axum::routing::any;
use recent::Recent;
use rookery_pds::app::App;
use rookery_pds::error::Result;
use rookery_pds::limits::Places;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Bytes of new events that are read from the log at once.
const STEP: usize = 1024 * 1024;
/// The part of the places that one address can have.
const SHARE: usize = 4;
/// How often old events are looked for.
const PRUNING: Duration = Duration::from_secs(1);
/// How long subscribers may take to say goodbye.
const GRACE: Duration = Duration::from_secs(3);

/// The firehose of one server.
pub(crate) struct Firehose {
    app: Arc<App>,
    bounds: Subscribers,
    recent: Recent,
    /// One for each subscriber.
    places: Arc<Semaphore>,
    /// How many of them an address has.
    shares: Places<u64>,
    /// True once the server stops.
    stopping: watch::Sender<bool>,
}

impl Firehose {
    pub(crate) async fn open(app: Arc<App>, bounds: Subscribers) -> Result<Arc<Self>> {
        let ends = app.log.ends().await?;
        Ok(Arc::new(Self {
            app,
            recent: Recent::new(ends, bounds.memory),
            places: Arc::new(Semaphore::new(bounds.most)),
            shares: Places::new((bounds.most / SHARE).max(1), usize::MAX),
            stopping: watch::Sender::new(false),
            bounds,
        }))
    }

    /// Its route.
    pub(crate) fn routes(self: &Arc<Self>) -> Router<Arc<App>> {
        let firehose = Arc::clone(self);
        let handle = any(move |request| handshake::handle(firehose, request));
        Router::new().route("/xrpc/com.atproto.sync.subscribeRepos", handle)
    }

    /// How many are subscribed.
    pub(crate) fn connected(&self) -> usize {
        self.bounds.most.saturating_sub(self.places.available_permits())
    }

    /// Follows the log until the engine ends. `committed` changes after each commit.
    pub(crate) async fn follow<T>(self: Arc<Self>, mut committed: watch::Receiver<T>) {
        while committed.changed().await.is_ok() {
            if let Err(error) = self.read_on().await {
                tracing::error!(%error, "the event log cannot be read; subscribers wait");
            }
        }
    }

    /// Forgets what is too old, for ever.
    pub(crate) async fn prune(self: Arc<Self>) {
        let mut ticks = interval(PRUNING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.app.log.prune().await {
                tracing::warn!(%error, "old events could not be forgotten; it is tried again");
            }
        }
    }

    /// Takes what is new in the log among the recent frames. With nobody there, it is left in the log.
    async fn read_on(&self) -> Result<()> {
        if self.connected() == 0 {
            self.recent.forget();
            return Ok(());
        }
        let Some(mut at) = self.recent.newest() else {
            self.recent.start_after(self.app.log.ends().await?);
            return Ok(());
        };
        let mut most = STEP;
        loop {
            let page = self.app.log.events(at, most).await?;
            let Some(last) = page.frames.last() else {
                match page.next {
                    Some(needed) => most = needed,
                    None => return Ok(()),
                }
                continue;
            };
            at = last.position.seq;
            self.recent.push(page.frames, page.ends);
            most = STEP;
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    /// Asks every subscriber to go.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until they are gone, a few seconds at most.
    pub(crate) async fn stopped(&self) {
        let all = u32::try_from(self.bounds.most).unwrap_or(u32::MAX);
        if timeout(GRACE, self.places.acquire_many(all)).await.is_err() {
            tracing::debug!(subscribers = self.connected(), "some subscribers did not take their leave");
        }
    }
}
