//! Where the bytes of blobs are: a flat store of objects that are written once.
//!
//! The core says which objects there are (`store/blob.rs`) and names each with a key that it never uses again, so that
//! nothing is ever overwritten and a late delete cannot hit a later object. A key is of `a-z`, `0-9`, `-` and `/`.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::ops::Range;
use std::time::Duration;

/// The bytes of an object as they come. An `Err` item ends it, and means that the bytes before it are not the whole.
pub type BlobStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no room for more.
    #[error("no space left for blobs: {0}")]
    Full(String),
    /// The store cannot be reached, or does not answer in time; it may later.
    #[error("the blob store is not available: {0}")]
    Unavailable(String),
    /// Anything else that went wrong.
    #[error("blob store: {0}")]
    Failed(String),
}

/// A store of objects.
pub trait Blobs: Send + Sync {
    /// Makes room for the object `key`, whose bytes are on their way. It is not there before it is kept.
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>>;
    /// The bytes of an object, or a range of them that lies within it. `None` when there is no such object.
    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>>;
    /// Removes an object for good. It is well if there is none.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>>;
    /// How long after the end of this process an object that it was keeping may still appear.
    fn afterlife(&self) -> Duration;
}

/// Bytes on their way into the store. Dropping it discards them.
pub trait Upload: Send {
    /// Takes the next bytes.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;
    /// Makes what was written the object, whole and durable. It takes no longer than
    /// [`limits::BLOB_KEEP`](crate::config::limits::BLOB_KEEP); after an error the object may be there all the same.
    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>>;
}
