//! The directory of accounts: handles and keys in D1, lists of repos from the Sequencer.
//!
//! Every change is one statement, sent with the look at what became of it as one batch, which D1 runs as one transaction. Reads go
//! to the primary, so who has claimed a handle is known everywhere at once.
//!
//! Nothing on this host takes an account out of service yet: whoever is entered is active.

use crate::sequencer_calls;
use crate::system::EventClock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rookery_atproto::syntax::{Did, Handle, Nsid};
use rookery_auth::jwk::Thumbprint;
use rookery_pds::ports::{Claim, Clock, Directory, DirectoryError, Entry, Holder, Listed, Page};
use rookery_pds::store::account::Status;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::str::FromStr;
use worker::send::SendFuture;
use worker::wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

/// The table of this is in `migrations`.
const BINDING: &str = "DIRECTORY";

const CLAIM: &str = include_str!("d1/claim.sql");
const SETTLE: &str = include_str!("d1/settle.sql");
const RELEASE: &str = include_str!("d1/release.sql");
const HAS: &str = include_str!("d1/has.sql");

/// The directory, as the core knows it.
pub(crate) struct D1Directory {
    database: D1Database,
    env: Env,
}

impl D1Directory {
    pub(crate) fn new(env: &Env) -> worker::Result<Self> {
        Ok(Self { database: env.d1(BINDING)?, env: env.clone() })
    }

    /// The key of the account with this DID, which never changes. The account may be about to be made.
    pub(crate) async fn key_of_did(&self, did: &Did) -> Result<Option<Thumbprint>, DirectoryError> {
        self.text("SELECT thumbprint AS found FROM entry WHERE did = ?1", did).await
    }

    /// The key of the account that has this handle.
    pub(crate) async fn key_of_handle(&self, handle: &Handle) -> Result<Option<Thumbprint>, DirectoryError> {
        let sql = "SELECT thumbprint AS found FROM entry WHERE handle = ?1 AND held_until IS NULL";
        self.text(sql, handle).await
    }

    /// True when the key has an account, or is about to.
    pub(crate) async fn knows(&self, thumbprint: &Thumbprint) -> Result<bool, DirectoryError> {
        let found: Option<Thumbprint> =
            self.text("SELECT thumbprint AS found FROM entry WHERE thumbprint = ?1", thumbprint).await?;
        Ok(found.is_some())
    }

    async fn claim(&self, entry: &Entry, until: i64) -> Result<Claim, DirectoryError> {
        let [thumbprint, did, handle] = texts(entry);
        let now = number(EventClock.now_micros());
        let claim = self.statement(CLAIM, &[thumbprint, did, handle, number(until), now])?;
        let is_claimed = self.statement(HAS, &texts(entry))?;
        let found: Option<u32> = self.change(claim, is_claimed).await?;
        Ok(if found.is_some() { Claim::Held } else { Claim::Taken })
    }

    async fn settle(&self, entry: &Entry) -> Result<bool, DirectoryError> {
        let [thumbprint, did, handle] = texts(entry);
        let now = number(EventClock.now_micros());
        let settle = self.statement(SETTLE, &[thumbprint, did, handle, now])?;
        let has_handle = self.statement(HAS, &texts(entry))?;
        let found: Option<u32> = self.change(settle, has_handle).await?;
        Ok(found.is_some())
    }

    /// Runs a change, and what `look` finds after it, in one transaction.
    async fn change<T: DeserializeOwned>(
        &self,
        change: D1PreparedStatement,
        look: D1PreparedStatement,
    ) -> Result<Option<T>, DirectoryError> {
        let results = self.database.batch(vec![change, look]).await.map_err(unavailable)?;
        let rows =
            results.get(1).map(|result| result.results::<Found<T>>()).transpose().map_err(unavailable)?;
        let rows = rows.ok_or_else(|| unavailable("a batch came back without its second result"))?;
        Ok(rows.into_iter().next().map(|row| row.found))
    }

    /// The one text that a statement finds by another.
    async fn text<T: FromStr<Err: Display>>(
        &self,
        sql: &'static str,
        by: &impl Display,
    ) -> Result<Option<T>, DirectoryError> {
        let statement = self.statement(sql, &[text(by)])?;
        let found: Option<String> = statement.first(Some("found")).await.map_err(unavailable)?;
        found.map(|text| text.parse()).transpose().map_err(unavailable)
    }

    fn statement(
        &self,
        sql: &'static str,
        params: &[JsValue],
    ) -> Result<D1PreparedStatement, DirectoryError> {
        self.database.prepare(sql).bind(params).map_err(unavailable)
    }
}

/// What each statement that finds something calls it.
#[derive(serde::Deserialize)]
struct Found<T> {
    found: T,
}

impl Directory for D1Directory {
    fn resolve<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Option<Holder>, DirectoryError>> {
        let sql = "SELECT did AS found FROM entry WHERE handle = ?1 AND held_until IS NULL";
        SendFuture::new(async move {
            let did: Option<Did> = self.text(sql, handle).await?;
            Ok(did.map(|did| Holder { did, status: Status::Active }))
        })
        .boxed()
    }

    fn claim<'a>(&'a self, entry: &'a Entry, until: i64) -> BoxFuture<'a, Result<Claim, DirectoryError>> {
        SendFuture::new(self.claim(entry, until)).boxed()
    }

    fn settle<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, DirectoryError>> {
        SendFuture::new(self.settle(entry)).boxed()
    }

    fn release<'a>(&'a self, did: &'a Did) -> BoxFuture<'a, Result<(), DirectoryError>> {
        SendFuture::new(async move {
            let release = self.statement(RELEASE, &[text(did)])?;
            release.run().await.map(drop).map_err(unavailable)
        })
        .boxed()
    }

    fn list(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Page<Listed>, DirectoryError>> {
        SendFuture::new(sequencer_calls::list(&self.env, after, limit)).boxed()
    }

    fn list_by_collection<'a>(
        &'a self,
        collection: &'a Nsid,
        after: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<Page<Did>, DirectoryError>> {
        SendFuture::new(sequencer_calls::list_by_collection(&self.env, collection, after, limit)).boxed()
    }
}

fn texts(entry: &Entry) -> [JsValue; 3] {
    [text(&entry.thumbprint), text(&entry.did), text(&entry.handle)]
}

fn text(value: &impl Display) -> JsValue {
    value.to_string().into()
}

fn number(micros: i64) -> JsValue {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a time in microseconds is below 2^53 until the year 2255"
    )]
    JsValue::from_f64(micros as f64)
}

fn unavailable(problem: impl Display) -> DirectoryError {
    DirectoryError::Unavailable(problem.to_string())
}
