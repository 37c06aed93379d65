//! `com.atproto.sync`.

pub(crate) mod get_latest_commit;
pub(crate) mod get_repo;
pub(crate) mod get_repo_status;
pub(crate) mod list_repos;
