//! Where blobs are kept: in files under the data directory, or in a bucket of any store that speaks S3.
//!
//! Either way a blob first arrives in a file of its own ([`arrival`]): its hash, and so its name, is known only at its end.

mod arrival;
#[cfg(test)]
mod between_steps;
mod files;
mod s3;
#[cfg(test)]
mod tests;

pub(crate) use files::Files;
pub(crate) use s3::S3;

use rookery_pds::ports::BlobError;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::path::Path;
use tokio::task::spawn_blocking;

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;

/// An error of the file system. A limit that somebody set on files counts as a full disk.
fn failed(doing: &str, error: &io::Error) -> BlobError {
    let text = format!("{doing}: {error}");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => BlobError::Full(text),
        _ => BlobError::Failed(text),
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    doing: &'static str,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    let ended = spawn_blocking(job).await.map_err(|error| BlobError::Failed(format!("{doing}: {error}")))?;
    ended.map_err(|error| failed(doing, &error))
}

/// Creates a directory, its owner's alone, unless it is there.
fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}
