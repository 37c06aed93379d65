//! An account's repo: committing writes, reading records and blocks, exporting.

pub(crate) mod blocks;
pub(crate) mod commit;
pub(crate) mod export;
pub(crate) mod read;
pub(crate) mod record;
