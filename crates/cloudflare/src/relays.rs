//! Relays, told of this server and watched by the Sequencer's alarm: there is no task that outlives a request.
//!
//! What each was told is in the object's store, since the object starts whenever somebody asks for something after a while of
//! rest. A relay is asked for a crawl once there is an account, and not because the Worker was deployed anew.

use crate::sql::ObjectStore;
use crate::{d1::D1Directory, host, settings::Settings};
use futures_util::future::join_all;
use futures_util::lock::Mutex;
use rookery_pds::app::App;
use rookery_pds::error::Result;
use rookery_pds::relay::{AccountWatch, Announcer};
use rookery_pds::sequencer::SharedLog;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use worker::Env;

/// Between two looks, whatever is due.
const SHORTEST: Duration = Duration::from_secs(1);

pub(crate) struct Relays {
    app: Arc<App>,
    accounts: Mutex<AccountWatch>,
    /// Held while they are asked.
    relays: Mutex<Vec<Announcer>>,
}

impl Relays {
    pub(crate) async fn open(
        env: &Env,
        settings: &Settings,
        store: &ObjectStore,
        log: Arc<SharedLog>,
    ) -> Result<Self> {
        let directory = Arc::new(D1Directory::new(env).map_err(host::misconfigured)?);
        let ports = host::ports(env, settings, Arc::new(store.clone()), directory)?;
        let app = App::without_accounts(settings.config.clone(), ports, &*host::master_key(env)?)?;
        let relays = Announcer::all_kept(&app).await?;
        let accounts = AccountWatch::of_shared(Arc::clone(&app), log);
        Ok(Self { app, accounts: Mutex::new(accounts), relays: Mutex::new(relays) })
    }

    /// Does what is due, and returns how long it is until something is again. `readers` is how many read the firehose.
    pub(crate) async fn tick(&self, readers: usize) -> Option<Duration> {
        let counted = self.accounts.lock().await.tick().await;
        let mut relays = self.relays.lock().await;
        let told = join_all(relays.iter_mut().map(|relay| relay.tick(readers))).await;
        for error in told.into_iter().chain([counted]).filter_map(Result::err) {
            tracing::warn!(%error, "accounts and relays could not be looked at; it is tried again");
        }
        next(&relays, false)
    }

    /// How long until relays are to be told of an event that has just come.
    pub(crate) fn after_event(&self) -> Option<Duration> {
        // While they are asked, whoever asks says when they are again.
        next(&*self.relays.try_lock()?, true)
    }

    /// What `_health` tells, but for subscribers.
    pub(crate) async fn health(&self) -> Result<Map<String, Value>> {
        self.accounts.lock().await.tick().await?;
        self.app.health().await
    }
}

fn next(relays: &[Announcer], told: bool) -> Option<Duration> {
    let next = relays.iter().filter_map(|relay| relay.next(told)).min();
    next.map(|wait| wait.max(SHORTEST))
}
