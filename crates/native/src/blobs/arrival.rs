//! Blobs on their way in, each in a file that nobody misses: those of an earlier run are removed at the start.

use super::{blocking, create_dir, failed};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rookery_pds::ports::{BlobError, Upload};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// The directory of arrivals.
pub(super) struct Arrivals {
    dir: PathBuf,
    next: AtomicU64,
}

impl Arrivals {
    /// Opens the directory and empties it. One server uses it at a time.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        create_dir(&dir)?;
        for entry in fs::read_dir(&dir)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { dir, next: AtomicU64::new(0) })
    }

    /// A new file, and the upload that is made of it.
    pub(super) fn receive<'a, U: Upload + 'static>(
        &'a self,
        upload: impl FnOnce(Arrival) -> U + Send + 'a,
    ) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        async move { Ok(Box::new(upload(self.create().await?)) as Box<dyn Upload>) }.boxed()
    }

    async fn create(&self) -> Result<Arrival, BlobError> {
        let path = self.dir.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let opened = path.clone();
        let file = blocking("cannot create a file for a blob", move || {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(opened)
        });
        // The path is owned before the file is there, so that a request that is given up meanwhile leaves none.
        let path = Removed(path);
        Ok(Arrival { file: File::from_std(file.await?), path, size: 0 })
    }
}

/// A blob that is arriving; removed when dropped.
pub(super) struct Arrival {
    file: File,
    path: Removed,
    size: u64,
}

impl Arrival {
    /// Appends.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.file.write_all(&chunk).await.map_err(|error| failed("cannot write a blob", &error))
    }

    /// Where all of it is, and how much.
    pub(super) async fn end(mut self) -> Result<(Ended, u64), BlobError> {
        // Writes go on behind one's back; the last one's outcome is told here.
        self.file.flush().await.map_err(|error| failed("cannot write a blob", &error))?;
        Ok((Ended { file: self.file, path: self.path }, self.size))
    }
}

/// A blob that has arrived; removed when dropped, unless it has been moved.
pub(super) struct Ended {
    pub(super) file: File,
    path: Removed,
}

impl Ended {
    pub(super) fn path(&self) -> &Path {
        &self.path.0
    }

    /// Makes it durable under another name. Blocks.
    pub(super) fn rename(self, to: &Path) -> io::Result<()> {
        // The file is gone from its old name then, and removing it there finds nothing.
        fs::rename(self.path(), to)
    }
}

/// A path at which there is nothing any more once this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Gone already when it was renamed. What else cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}
