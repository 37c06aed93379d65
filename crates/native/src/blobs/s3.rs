//! Blobs in a bucket of any store that speaks S3.
//!
//! An object is put in one request, which S3 stores whole or not at all. Uploads in parts would leave parts behind when the
//! server ends in the middle, and what one request takes (5 GiB) is more than a blob may be. Requests are signed in
//! their URL, so URLs are kept out of errors and logs.

mod body;
mod refusal;

use super::arrival::{Arrival, Arrivals, Ended};
use super::create_dir;
use crate::config::S3Bucket;
use crate::net;
use anyhow::{Context, Result, anyhow};
use body::FileBody;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use refusal::Refusal;
use reqwest::{Body, Client, Response, header};
use rookery_pds::config::limits::BLOB_KEEP;
use rookery_pds::ports::{BlobError, BlobStream, Blobs, Upload};
use rusty_s3::actions::{DeleteObject, GetObject, PutObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

/// How long a signature holds: until the store has looked at the request.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// How long the store may take for an answer, or for the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second that go out at least, on top of that.
const SLOWEST: u64 = 64 * 1024;
/// Pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1_000)];
/// A request that was on its way when the process ended is done, or has failed, after this time.
const AFTERLIFE: Duration = Duration::from_secs(60);

/// A store in one bucket.
pub(crate) struct S3 {
    remote: Arc<Remote>,
    arrivals: Arrivals,
}

impl S3 {
    /// A store in `place`. Blobs on their way in are in `dir`. Nothing is asked of the bucket yet. Blocks.
    pub(crate) fn open(place: &S3Bucket, secret: &Zeroizing<String>, dir: &Path) -> Result<Self> {
        create_dir(dir)?;
        let arrivals = Arrivals::open(dir.join("arriving"))?;
        Ok(Self { remote: Arc::new(Remote::new(place, secret)?), arrivals })
    }
}

impl Blobs for S3 {
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        let (key, remote) = (key.to_owned(), Arc::clone(&self.remote));
        self.arrivals.receive(|arrival| S3Upload { arrival, key, remote })
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        self.remote.get(key, range).boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        self.remote.delete(key).boxed()
    }

    fn afterlife(&self) -> Duration {
        AFTERLIFE
    }
}

struct S3Upload {
    arrival: Arrival,
    key: String,
    remote: Arc<Remote>,
}

impl Upload for S3Upload {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.arrival.write(chunk).boxed()
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        async move {
            let Self { arrival, key, remote } = *self;
            let (ended, size) = arrival.end().await?;
            let late = |_| BlobError::Unavailable("the object could not be put in time".to_owned());
            timeout(BLOB_KEEP, remote.put(&key, &ended, size)).await.map_err(late)?
        }
        .boxed()
    }
}

/// The bucket, as it is reached.
struct Remote {
    client: Client,
    bucket: Bucket,
    credentials: Credentials,
    /// Before every key; empty, or ends with a slash.
    prefix: String,
}

impl Remote {
    fn new(place: &S3Bucket, secret: &Zeroizing<String>) -> Result<Self> {
        let style = if place.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(place.endpoint.clone(), style, place.bucket.clone(), place.region.clone())
            .map_err(|error| anyhow!("the bucket {} cannot be used: {error}", place.bucket))?;
        let mut client = net::builder().connect_timeout(PATIENCE);
        if place.endpoint.scheme() == "http" {
            client = client.tls_backend_preconfigured(net::no_tls()?);
        }
        Ok(Self {
            client: client.build().context("cannot reach out for blobs")?,
            bucket,
            credentials: Credentials::new(place.access_key_id.clone(), secret.as_str()),
            prefix: place.prefix.clone(),
        })
    }

    async fn put(&self, key: &str, file: &Ended, size: u64) -> Result<(), BlobError> {
        let patience = PATIENCE + Duration::from_secs(size / SLOWEST);
        self.attempts(|| async {
            let body = Body::wrap(FileBody::open(file.path(), size).await?);
            let key = self.key(key);
            let url = PutObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED_FOR);
            let request =
                self.client.put(url).header(header::CONTENT_TYPE, "application/octet-stream").body(body);
            answer(request.send(), patience).await.map(drop)
        })
        .await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>, BlobError> {
        let got = self
            .attempts(|| async {
                let key = self.key(key);
                let url = GetObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED_FOR);
                let mut request = self.client.get(url);
                if let Some(Range { start, end }) = &range {
                    request =
                        request.header(header::RANGE, format!("bytes={start}-{}", end.saturating_sub(1)));
                }
                match answer(request.send(), PATIENCE).await {
                    Err(refusal) if refusal.is_missing_object() => Ok(None),
                    // A store that does not know ranges would send the beginning in place of what was asked for.
                    Ok(response) if range.is_some() && response.status() != 206 => Err(Refusal::no_ranges()),
                    answer => answer.map(Some),
                }
            })
            .await?;
        Ok(got.map(stream))
    }

    async fn delete(&self, key: &str) -> Result<(), BlobError> {
        self.attempts(|| async {
            let key = self.key(key);
            let url = DeleteObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED_FOR);
            match answer(self.client.delete(url).send(), PATIENCE).await {
                Err(refusal) if refusal.is_missing_object() => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Tries again what may work then.
    async fn attempts<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, BlobError>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        for pause in PAUSES {
            match attempt().await {
                Err(refusal) if refusal.may_pass() => {
                    tracing::debug!(%refusal, "the bucket is asked again");
                    sleep(pause).await;
                }
                outcome => return outcome.map_err(BlobError::from),
            }
        }
        attempt().await.map_err(BlobError::from)
    }
}

/// A good answer, or why it is none.
async fn answer(
    sent: impl Future<Output = reqwest::Result<Response>>,
    patience: Duration,
) -> Result<Response, Refusal> {
    let response = timeout(patience, sent).await.map_err(|_| Refusal::Late)??;
    if response.status().is_success() { Ok(response) } else { Err(Refusal::read(response).await) }
}

fn stream(response: Response) -> BlobStream {
    unfold(Some(response), |response| async {
        let mut response = response?;
        let failed = |text: String| Some((Err(BlobError::Unavailable(text)), None));
        match timeout(PATIENCE, response.chunk()).await {
            Ok(Ok(chunk)) => chunk.map(|chunk| (Ok(chunk), Some(response))),
            Ok(Err(error)) => failed(error.without_url().to_string()),
            Err(_) => failed("the object stopped coming".to_owned()),
        }
    })
    .fuse()
    .boxed()
}
