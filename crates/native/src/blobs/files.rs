//! Blobs as files: `objects/3f2/9c41…`, each written once.
//!
//! A file is durable, and so is its name, before it is called kept: file, folder and the folder above are synced, since the
//! folder may be new. The same holds for a name that is gone.

use super::arrival::{Arrival, Arrivals};
use super::{CHUNK, blocking, create_dir, failed};
use crate::data_dir::sync_dir;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use rookery_pds::ports::{BlobError, BlobStream, Blobs, Upload};
use std::fs;
use std::io::{self, ErrorKind, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// A store in one directory.
pub(crate) struct Files {
    objects: PathBuf,
    arrivals: Arrivals,
}

impl Files {
    /// Opens or creates the store in `dir`. Blocks.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        create_dir(dir)?;
        let objects = dir.join("objects");
        create_dir(&objects)?;
        sync_dir(dir)?;
        dir.parent().map_or(Ok(()), sync_dir)?;
        Ok(Self { objects, arrivals: Arrivals::open(dir.join("arriving"))? })
    }

    fn path(&self, key: &str) -> Result<PathBuf, BlobError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        match key.split_once('/') {
            Some((folder, name)) if is_name(folder) && is_name(name) => {
                Ok(self.objects.join(folder).join(name))
            }
            _ => Err(BlobError::Failed(format!("{key:?} is not a folder and a name"))),
        }
    }
}

impl Blobs for Files {
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        let objects = &self.objects;
        async move {
            let to = self.path(key)?;
            self.arrivals.receive(|arrival| FileUpload { arrival, to, objects: objects.clone() }).await
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        async move {
            let path = self.path(key)?;
            match open(&path, range).await {
                Ok(stream) => Ok(Some(stream)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed("cannot read a blob", &error)),
            }
        }
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        async move {
            let path = self.path(key)?;
            blocking("cannot delete a blob", move || {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    // Also when it was gone: a process that ended meanwhile may have removed the name, but not synced that.
                    _ => {}
                }
                match path.parent().map_or(Ok(()), sync_dir) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    outcome => outcome,
                }
            })
            .await
        }
        .boxed()
    }

    fn afterlife(&self) -> Duration {
        Duration::ZERO
    }
}

async fn open(path: &Path, range: Option<Range<u64>>) -> io::Result<BlobStream> {
    let mut file = File::open(path).await?;
    let left = match range {
        Some(range) => {
            file.seek(SeekFrom::Start(range.start)).await?;
            range.end.saturating_sub(range.start)
        }
        None => file.metadata().await?.len(),
    };
    let chunks = unfold(Some((file, left)), |state| async {
        let (mut file, left) = state.filter(|(_, left)| *left > 0)?;
        match next(&mut file, left).await {
            Ok(chunk) => {
                let left = left.saturating_sub(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                Some((Ok(chunk), Some((file, left))))
            }
            Err(error) => Some((Err(failed("cannot read a blob", &error)), None)),
        }
    });
    Ok(chunks.fuse().boxed())
}

async fn next(file: &mut File, left: u64) -> io::Result<Bytes> {
    let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = BytesMut::with_capacity(most);
    // The buffer may have room for more than was asked for.
    if file.take(left).read_buf(&mut chunk).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(chunk.freeze())
}

struct FileUpload {
    arrival: Arrival,
    to: PathBuf,
    objects: PathBuf,
}

impl Upload for FileUpload {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.arrival.write(chunk).boxed()
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        async move {
            let Self { arrival, to, objects } = *self;
            let (ended, _) = arrival.end().await?;
            ended.file.sync_all().await.map_err(|error| failed("cannot write a blob", &error))?;
            blocking("cannot keep a blob", move || {
                let folder = to.parent().unwrap_or(&objects);
                create_dir(folder)?;
                ended.rename(&to)?;
                sync_dir(folder)?;
                sync_dir(&objects)
            })
            .await
        }
        .boxed()
    }
}
