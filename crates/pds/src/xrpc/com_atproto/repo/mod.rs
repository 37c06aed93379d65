//! `com.atproto.repo`.

pub(crate) mod apply_writes;
pub(crate) mod create_record;
pub(crate) mod delete_record;
pub(crate) mod describe_repo;
pub(crate) mod get_record;
pub(crate) mod list_missing_blobs;
pub(crate) mod list_records;
pub(crate) mod put_record;
pub(crate) mod upload_blob;
mod write_input;
