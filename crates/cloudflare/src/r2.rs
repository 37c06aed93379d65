//! The bytes of blobs, in R2.
//!
//! What fits into one part is put in one request, which stores it whole or not at all. Anything longer goes up part by part as it
//! comes, so that only one part is in memory; it becomes an object when the last is there. R2 forgets parts of which nothing
//! became after a week.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use rookery_pds::ports::{BlobError, BlobStream, Blobs, Upload};
use std::ops::Range;
use std::time::Duration;
use worker::send::{SendFuture, SendWrapper};
use worker::wasm_bindgen_futures::spawn_local;
use worker::{Bucket, MultipartUpload, ResponseBody, UploadedPart};

/// All parts but the last must have the same size, of 5 MiB or more.
const PART: usize = 5 * 1024 * 1024;
/// A request that was on its way when the object was evicted is done, or has failed, after this time.
const AFTERLIFE: Duration = Duration::from_secs(60);

/// A bucket.
pub(crate) struct R2(SendWrapper<Bucket>);

impl R2 {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self(SendWrapper::new(bucket))
    }
}

impl Blobs for R2 {
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        let arriving = Arriving {
            bucket: (*self.0).clone(),
            key: key.to_owned(),
            part: Vec::new(),
            parts: Vec::new(),
            multipart: None,
        };
        let upload: Box<dyn Upload> = Box::new(R2Upload(SendWrapper::new(arriving)));
        async { Ok(upload) }.boxed()
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        SendFuture::new(async move {
            let mut get = self.0.get(key);
            if let Some(Range { start, end }) = range {
                get = get.range(worker::Range::OffsetWithLength {
                    offset: start,
                    length: end.saturating_sub(start),
                });
            }
            let Some(object) = get.execute().await.map_err(unavailable)? else { return Ok(None) };
            let body = object
                .body()
                .ok_or_else(|| BlobError::Failed("an object came without its bytes".to_owned()))?;
            match body.response_body().map_err(unavailable)? {
                ResponseBody::Stream(stream) => {
                    let chunks = StreamExt::boxed(worker::Body::new(stream));
                    Ok(Some(chunks.map_err(unavailable).boxed()))
                }
                _ => Err(BlobError::Failed("an object came without a stream".to_owned())),
            }
        })
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        SendFuture::new(async move { self.0.delete(key).await.map_err(unavailable) }).boxed()
    }

    fn afterlife(&self) -> Duration {
        AFTERLIFE
    }
}

struct R2Upload(SendWrapper<Arriving>);

struct Arriving {
    bucket: Bucket,
    key: String,
    /// Bytes that are not sent yet, less than a part.
    part: Vec<u8>,
    parts: Vec<UploadedPart>,
    /// There when more than one part has come, until the upload is kept.
    multipart: Option<MultipartUpload>,
}

impl Upload for R2Upload {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        SendFuture::new(self.0.write(chunk)).boxed()
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        let mut upload = *self;
        SendFuture::new(async move { upload.0.keep().await }).boxed()
    }
}

impl Arriving {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), BlobError> {
        while !chunk.is_empty() {
            // A full part is sent when there is more, so that what fits into one is not an upload in parts.
            if self.part.len() == PART {
                self.send().await?;
            }
            let room = PART - self.part.len();
            self.part.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), BlobError> {
        let upload = match self.multipart.take() {
            Some(upload) => upload,
            None => self.bucket.create_multipart_upload(&self.key).execute().await.map_err(unavailable)?,
        };
        let number = u16::try_from(self.parts.len() + 1)
            .map_err(|_| BlobError::Failed("a blob of more parts than there can be".to_owned()))?;
        let upload = self.multipart.insert(upload);
        let part = upload.upload_part(number, std::mem::take(&mut self.part)).await.map_err(unavailable)?;
        self.parts.push(part);
        Ok(())
    }

    async fn keep(&mut self) -> Result<(), BlobError> {
        if self.multipart.is_none() {
            let bytes = std::mem::take(&mut self.part);
            return self.bucket.put(&self.key, bytes).execute().await.map(drop).map_err(unavailable);
        }
        self.send().await?;
        match self.multipart.take() {
            Some(upload) => {
                upload.complete(std::mem::take(&mut self.parts)).await.map(drop).map_err(unavailable)
            }
            None => Ok(()),
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(upload) = self.multipart.take() {
            // When it fails, R2 forgets the parts by itself.
            spawn_local(async move { drop(upload.abort().await) });
        }
    }
}

fn unavailable(error: worker::Error) -> BlobError {
    BlobError::Unavailable(error.to_string())
}
