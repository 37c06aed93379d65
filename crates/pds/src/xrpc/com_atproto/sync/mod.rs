//! `com.atproto.sync`.
//!
//! Deliberately absent: `getHostStatus` and `listHosts` tell of the hosts that a server consumes from, which is what relays do.
//! This server consumes from none; they answer `MethodNotImplemented`.

pub(crate) mod get_blob;
pub(crate) mod get_blocks;
pub(crate) mod get_latest_commit;
pub(crate) mod get_record;
pub(crate) mod get_repo;
pub(crate) mod get_repo_status;
pub(crate) mod list_blobs;
pub(crate) mod list_repos;
pub(crate) mod list_repos_by_collection;
mod repos;
