//! Where the bytes of blobs are kept: files in the data directory, or a bucket.
//!
//! Both take an upload as a file of its own first ([`spool`]), since its name depends on all of its bytes.

mod files;
mod s3;
mod spool;
#[cfg(test)]
mod tests;

pub(crate) use files::FileStore;
pub(crate) use s3::{BucketSettings, S3Store};

use rookery_pds::ports::BlobError;
use std::io;

/// What an error of the file system means to who sends or reads a blob.
fn refusal(error: &io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            BlobError::Full(error.to_string())
        }
        _ => BlobError::Failed(error.to_string()),
    }
}
