//! What is known across accounts: whose a handle is, and which repos there are.
//!
//! Where all accounts share one store its rows are the directory, and nobody has to ask anybody: [`StoreDirectory`]. Where each
//! account has a store of its own the directory is elsewhere, and no transaction spans the two. A key then comes to its handle
//! in two steps: before the account is made the handle is *claimed*, for a time; once the account is in its store the claim is
//! *settled*, for good. Each step may be the last that a process takes, each can be repeated, and what is claimed and never
//! settled runs out by itself.
//!
//! [`StoreDirectory`]: crate::directory::StoreDirectory

use super::EngineError;
use crate::store::account::Status;
use futures_util::future::BoxFuture;
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{Did, Handle, Nsid, Tid};
use rookery_auth::jwk::Thumbprint;
use serde::{Deserialize, Serialize};

/// Why the directory did not do what it was asked for. Whether it did so all the same is not known.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The store, where that is the directory.
    #[error(transparent)]
    Store(#[from] EngineError),
    /// It cannot be reached, or does not answer in time; it may later.
    #[error("the directory of accounts is not available: {0}")]
    Unavailable(String),
}

/// Who is to be known under a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The agent's key. There is one account for a key, and so one entry.
    pub thumbprint: Thumbprint,
    /// The account.
    pub did: Did,
    /// Its handle.
    pub handle: Handle,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The handle is held until the time asked for, and is to be settled or released.
    Held,
    /// Whatever the store allows is right: there is nothing to settle and nothing to release.
    Unneeded,
    /// The handle is another key's.
    Taken,
}

/// Who has a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The account.
    pub did: Did,
    /// Whether it is served.
    pub status: Status,
}

/// One entry of `listRepos`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Whose repo.
    pub did: Did,
    /// Whether it is served.
    pub status: Status,
    /// Its commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
}

/// Part of a list that goes in the order in which accounts were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub entries: Vec<T>,
    /// The number of the last one, after which the next page begins; none when it is empty.
    pub last: Option<i64>,
}

/// The directory of accounts. Not that of did:plc, which is the network's.
pub trait Directory: Send + Sync {
    /// The account here that has this handle, served or not. A claim alone gives a handle to nobody.
    fn resolve<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Option<Holder>, DirectoryError>>;

    /// Holds a handle for a key until a time (microseconds), in place of whatever this key has claimed before and not settled.
    /// A claim of another key that has run out is as good as none. Claiming again is well, and moves the time. A key that is
    /// settled is left as it is, and told that it holds what it asks for: another of its requests was faster, and it finds the
    /// account when it is about to finish.
    fn claim<'a>(&'a self, entry: &'a Entry, until: i64) -> BoxFuture<'a, Result<Claim, DirectoryError>>;

    /// Enters an account that is in its store, for good, also when its claim has run out or is gone. False when the handle went
    /// to another key meanwhile: then the account is entered without one. Settling again changes nothing.
    fn settle<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, DirectoryError>>;

    /// Gives a claim back that is not settled. It is well if there is none.
    fn release<'a>(&'a self, did: &'a Did) -> BoxFuture<'a, Result<(), DirectoryError>>;

    /// Up to `limit` repos after a place in the list, deleted ones left out.
    fn list(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Page<Listed>, DirectoryError>>;

    /// Up to `limit` active accounts with records in a collection, after a place in the list.
    fn list_by_collection<'a>(
        &'a self,
        collection: &'a Nsid,
        after: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<Page<Did>, DirectoryError>>;
}
