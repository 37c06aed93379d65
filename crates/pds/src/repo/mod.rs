//! An account's repo: committing writes, reading records, exporting.

pub(crate) mod commit;
pub(crate) mod export;
pub(crate) mod read;
pub(crate) mod record;
