//! The directory of a host whose accounts share one store: the store's own rows.

use crate::ports::{
    Claim, Directory, DirectoryError, Engine, EngineError, Entry, Holder, Listed, Mode, Page, Sql, SqlError,
    run,
};
use crate::store;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use rookery_atproto::syntax::{Did, Handle, Nsid};
use std::sync::Arc;

/// Reads the store. An account and its handle are one row there, and a reservation another: neither needs to be told twice.
pub struct StoreDirectory(Arc<dyn Engine>);

impl StoreDirectory {
    /// The directory of the accounts in this store.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(engine)
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Sql) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, DirectoryError> {
        run(self.0.as_ref(), Mode::Read, |sql| job(sql).map_err(|error| EngineError::from(error).into()))
            .await
    }
}

impl Directory for StoreDirectory {
    fn resolve<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Option<Holder>, DirectoryError>> {
        let handle = handle.clone();
        self.read(move |sql| {
            let account = store::account::by_handle(sql, &handle)?;
            Ok(account.map(|account| Holder { did: account.did, status: account.status }))
        })
        .boxed()
    }

    fn claim<'a>(&'a self, _: &'a Entry, _: i64) -> BoxFuture<'a, Result<Claim, DirectoryError>> {
        ready(Ok(Claim::Unneeded)).boxed()
    }

    fn settle<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Result<bool, DirectoryError>> {
        ready(Ok(true)).boxed()
    }

    fn release<'a>(&'a self, _: &'a Did) -> BoxFuture<'a, Result<(), DirectoryError>> {
        ready(Ok(())).boxed()
    }

    fn list(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Page<Listed>, DirectoryError>> {
        self.read(move |sql| store::repo::list(sql, after, limit)).boxed()
    }

    fn list_by_collection<'a>(
        &'a self,
        collection: &'a Nsid,
        after: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<Page<Did>, DirectoryError>> {
        let collection = collection.clone();
        self.read(move |sql| store::collection::repos(sql, &collection, after, limit)).boxed()
    }
}
