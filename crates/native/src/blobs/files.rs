//! Objects as files. An object is written and synced under another name, moved into place, and the move is synced too;
//! so it is there whole or not at all, also after a power cut.

use super::refusal;
use super::spool::{Spool, Spooled, private_folder};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::try_unfold;
use futures_util::{FutureExt, StreamExt};
use rookery_pds::ports::{BlobError, BlobStream, Blobs, Upload};
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// A folder of objects.
pub(crate) struct FileStore {
    objects: PathBuf,
    spool: Spool,
}

impl FileStore {
    /// Opens the store in `folder`, and makes it. What uploads of an earlier process left is removed.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let objects = folder.join("objects");
        private_folder(&objects)?;
        sync_folder(folder)?;
        Ok(Self { objects, spool: Spool::open(folder.join("incoming"))? })
    }

    /// Where an object is. Keys come from the core; one that would leave the folder is refused all the same.
    fn path(&self, key: &str) -> Result<PathBuf, BlobError> {
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if key.split('/').all(part) {
            Ok(self.objects.join(key))
        } else {
            Err(BlobError::Failed(format!("{key:?} is not the key of an object")))
        }
    }
}

impl Blobs for FileStore {
    fn receive(&self) -> BoxFuture<'_, Result<Box<dyn Upload>, BlobError>> {
        async move {
            let spooled = self.spool.receive().await?;
            let upload: Box<dyn Upload> = Box::new(FileUpload { spooled, objects: self.objects.clone() });
            Ok(upload)
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        async move {
            let mut file = match File::open(self.path(key)?).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(refusal(&error)),
            };
            let range = match range {
                Some(range) => range,
                None => 0..file.metadata().await.map_err(|error| refusal(&error))?.len(),
            };
            file.seek(SeekFrom::Start(range.start)).await.map_err(|error| refusal(&error))?;
            let left = range.end.saturating_sub(range.start);
            Ok(Some(try_unfold((file, left), next_chunk).boxed()))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        async move {
            let path = self.path(key)?;
            match fs::remove_file(&path).await {
                // It may have been removed by a process that ended before it was synced.
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refusal(&error)),
                _ => sync_parent(&path).await.map_err(|error| refusal(&error)),
            }
        }
        .boxed()
    }

    fn afterlife(&self) -> Duration {
        Duration::ZERO
    }
}

async fn next_chunk((mut file, left): (File, u64)) -> Result<Option<(Bytes, (File, u64))>, BlobError> {
    if left == 0 {
        return Ok(None);
    }
    let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
    let mut chunk = BytesMut::with_capacity(most);
    let read = (&mut file).take(left).read_buf(&mut chunk).await.map_err(|error| refusal(&error))?;
    if read == 0 {
        return Err(BlobError::Failed("an object is shorter than it should be".to_owned()));
    }
    let left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
    Ok(Some((chunk.freeze(), (file, left))))
}

struct FileUpload {
    spooled: Spooled,
    objects: PathBuf,
}

impl Upload for FileUpload {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.spooled.write(chunk).boxed()
    }

    fn keep<'a>(self: Box<Self>, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        async move {
            let path = self.objects.join(key);
            let (arrived, _) = self.spooled.finish().await?;
            let moved = async {
                make_parent(&path, self.objects).await?;
                arrived.rename(&path).await?;
                sync_parent(&path).await
            };
            moved.await.map_err(|error| refusal(&error))
        }
        .boxed()
    }
}

/// Makes the folder of an object. A new one is synced into the one above it before anything is in it.
async fn make_parent(path: &Path, objects: PathBuf) -> io::Result<()> {
    let Some(parent) = path.parent().map(Path::to_owned) else { return Ok(()) };
    blocking(move || {
        if parent.is_dir() {
            return Ok(());
        }
        private_folder(&parent)?;
        sync_folder(&objects)
    })
    .await
}

async fn sync_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().map(Path::to_owned) else { return Ok(()) };
    blocking(move || match sync_folder(&parent) {
        // Nothing was ever stored there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    })
    .await
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
