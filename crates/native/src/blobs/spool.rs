//! Uploads on their way: a file each, in a folder that is emptied at every start.

use super::refusal;
use bytes::Bytes;
use rookery_pds::ports::BlobError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

/// The folder. One process has it: the data directory is locked.
pub(super) struct Spool {
    folder: PathBuf,
    next: AtomicU64,
}

impl Spool {
    /// Removes what an earlier process left, and makes the folder.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => private_folder(&folder)?,
        }
        Ok(Self { folder, next: AtomicU64::new(0) })
    }

    /// A file for one upload.
    pub(super) async fn receive(&self) -> Result<Spooled, BlobError> {
        let path = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).await.map_err(|error| refusal(&error))?;
        Ok(Spooled { file, guard: Guard(Some(path)), size: 0 })
    }
}

/// An upload. Dropping it removes the file.
pub(super) struct Spooled {
    file: File,
    guard: Guard,
    size: u64,
}

/// Bytes that have all arrived and are in a file. Dropping it removes the file, unless it was moved away.
pub(super) struct Guard(Option<PathBuf>);

impl Spooled {
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.size = self.size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        self.file.write_all(&chunk).await.map_err(|error| refusal(&error))
    }

    /// Makes the bytes durable where they are; the number is how many.
    pub(super) async fn finish(mut self) -> Result<(Guard, u64), BlobError> {
        // Errors of writes that were under way arrive here.
        self.file.flush().await.map_err(|error| refusal(&error))?;
        self.file.sync_all().await.map_err(|error| refusal(&error))?;
        Ok((self.guard, self.size))
    }
}

impl Guard {
    /// Where the bytes are.
    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Moves the file to a place on the same disk.
    pub(super) async fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(self.path(), to).await?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, "an upload's file was left behind; the next start removes it");
        }
    }
}

/// Makes a folder, and those above it, for the owner alone.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
