//! Blobs: files that records refer to.
//!
//! An upload becomes a *blob* of its account: a row, and an object in the blob store. While a record refers to it, it is
//! *referenced* and served; otherwise it is kept for the grace period and then *collected*. Row and object are in different
//! places, so that no transaction spans them. What keeps them together is an order of steps in which the row that names an
//! object always comes first and goes last (`store/blob.rs`):
//!
//! | step | rows | object |
//! |---|---|---|
//! | the upload has arrived | garbage, held | |
//! | it is kept | garbage, held | there |
//! | it is acknowledged | blob | there |
//! | it is collected | garbage | there |
//! | the object is deleted | garbage | |
//! | the garbage is forgotten | | |
//!
//! A process that ends between any two leaves garbage at most, and the garbage is swept.

mod collect;
pub(crate) mod listed;
mod mime;
pub(crate) mod references;
pub(crate) mod upload;

pub(crate) use collect::{collect, start};

use crate::error::{Error, internal};
use crate::ports::BlobError;
use http::StatusCode;

/// 400 `BlobNotFound`.
pub(crate) fn blob_not_found() -> Error {
    Error::named("BlobNotFound", "Blob not found")
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "StorageFull",
                "The server has no room for the blob; nothing was stored. Try again later.",
            )
            .because(error),
            BlobError::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "BlobStoreUnavailable",
                "The store of blobs does not answer at the moment; nothing was changed. Try again in a minute.",
            )
            .because(error),
            BlobError::Failed(_) => internal(error),
        }
    }
}
