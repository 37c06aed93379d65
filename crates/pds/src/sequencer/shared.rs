//! The log of accounts that have stores of their own.
//!
//! Each account delivers its events in order and does so again until it knows that they came, so that a delivery may come twice,
//! late, or with events in front that came before. An event is known by its account and its `seq` in that account's store. A
//! delivery has all events of the account after the last one that it knows to be here, so none is missing between what came and
//! what comes: nobody has to ask for anything.

use super::{Delivery, Log};
use crate::config::Retention;
use crate::error::{Result, internal};
use crate::ports::{Clock, Engine, Listed, Mode, Page, Sql, run};
use crate::store::{self, Schema};
use rookery_atproto::syntax::{Did, Nsid};
use std::sync::Arc;

/// The log and what is known of those who deliver to it.
pub struct SharedLog {
    /// What subscribers read.
    pub log: Log,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
}

impl SharedLog {
    /// Brings the store to this version's schema.
    pub async fn open(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, retention: Retention) -> Result<Self> {
        let migrate = |sql: &dyn Sql| -> Result<bool> { Ok(store::migrate(sql, Schema::SharedLog)?) };
        run(engine.as_ref(), Mode::Write, migrate).await?;
        let log = Log::new(Arc::clone(&engine), Arc::clone(&clock), retention);
        Ok(Self { log, engine, clock })
    }

    /// Takes the events of a delivery that are new, all in one transaction, and with them how the account is. Returns the last
    /// event of the account that is here, by its `seq` there: the account delivers what is after it next.
    pub async fn accept(&self, delivery: Delivery) -> Result<i64> {
        let now = self.clock.now_micros();
        self.run(Mode::Write, move |sql| accept(sql, now, &delivery)).await
    }

    /// Up to `limit` repos after a place in the list, deleted ones left out.
    pub async fn list(&self, after: i64, limit: i64) -> Result<Page<Listed>> {
        self.run(Mode::Read, move |sql| Ok(store::hosted::list(sql, after, limit)?)).await
    }

    /// Up to `limit` active accounts with records in a collection, after a place in the list.
    pub async fn list_by_collection(&self, collection: Nsid, after: i64, limit: i64) -> Result<Page<Did>> {
        let list =
            move |sql: &dyn Sql| Ok(store::hosted::list_by_collection(sql, &collection, after, limit)?);
        self.run(Mode::Read, list).await
    }

    /// How many accounts are active.
    pub async fn count_active(&self) -> Result<u64> {
        let active = self.run(Mode::Read, |sql| Ok(store::hosted::count_active(sql)?)).await?;
        u64::try_from(active).map_err(internal)
    }

    async fn run<T: Send + 'static>(
        &self,
        mode: Mode,
        job: impl FnOnce(&dyn Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(self.engine.as_ref(), mode, job).await
    }
}

fn accept(sql: &dyn Sql, now: i64, delivery: &Delivery) -> Result<i64> {
    let known = store::hosted::get(sql, &delivery.account.did)?;
    let delivered = known.map_or(0, |known| known.delivered);
    let new = || delivery.events.iter().filter(|event| event.seq > delivered);
    // How the account is comes with the events that made it so: a delivery without new ones is an old one.
    let Some(last) = new().next_back().map(|event| event.seq) else { return Ok(delivered) };
    let id = match known {
        Some(known) => {
            store::hosted::update(sql, known.id, &delivery.account, last)?;
            known.id
        }
        None => store::hosted::insert(sql, &delivery.account, last)?.id,
    };
    for event in new() {
        store::event::append(sql, id, now, &event.frame)?;
    }
    for (collection, has) in &delivery.collections {
        store::hosted::set_collection(sql, id, collection, *has)?;
    }
    Ok(last)
}
