//! Objects in a bucket of any S3-compatible service.
//!
//! Requests are signed in their query (AWS Signature Version 4), which every such service takes. An object is put whole in
//! one request, streamed from the spool's file, so that a failed one can be sent again from its beginning.

use super::refusal;
use super::spool::{Guard, Spool, Spooled};
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::try_unfold;
use futures_util::{FutureExt, StreamExt};
use reqwest::header::{CONTENT_LENGTH, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Response, StatusCode, Url};
use rookery_pds::ports::{BlobError, BlobStream, Blobs, Upload};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::time::{sleep, timeout};
use tokio_util::io::ReaderStream;
use zeroize::Zeroizing;

/// How long a signed request is good for.
const SIGNED: Duration = Duration::from_secs(15 * 60);
const CONNECT: Duration = Duration::from_secs(10);
/// How long the bucket may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// A request whose answer takes longer has failed.
const WHOLE: Duration = Duration::from_secs(5 * 60);
/// Times a request is sent, and the pause before the second, which doubles.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);
const CHUNK: usize = 64 * 1024;

/// Which bucket, and how it is reached.
#[derive(Clone)]
pub(crate) struct BucketSettings {
    /// Origin of the service.
    pub(crate) endpoint: Url,
    pub(crate) region: String,
    pub(crate) bucket: String,
    /// Put before every key, with its slash; may be empty.
    pub(crate) prefix: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
}

/// A bucket of objects.
pub(crate) struct S3Store {
    remote: Arc<Remote>,
    spool: Spool,
}

struct Remote {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    http: Client,
}

impl S3Store {
    /// `folder` is where uploads wait on their way; what an earlier process left there is removed.
    pub(crate) fn open(settings: &BucketSettings, folder: &Path) -> Result<Self> {
        // Fails when there is one already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        let (bucket, region) = (settings.bucket.clone(), settings.region.clone());
        let bucket = Bucket::new(settings.endpoint.clone(), UrlStyle::Path, bucket, region)
            .map_err(|error| anyhow!("the bucket {} cannot be used: {error}", settings.bucket))?;
        let credentials =
            Credentials::new(settings.access_key_id.clone(), settings.secret_access_key.as_str());
        let remote = Remote { bucket, credentials, prefix: settings.prefix.clone(), http };
        let spool = Spool::open(folder.join("incoming")).context("cannot make a folder for uploads")?;
        Ok(Self { remote: Arc::new(remote), spool })
    }
}

impl Blobs for S3Store {
    fn receive(&self) -> BoxFuture<'_, Result<Box<dyn Upload>, BlobError>> {
        async move {
            let spooled = self.spool.receive().await?;
            let upload: Box<dyn Upload> = Box::new(S3Upload { spooled, remote: Arc::clone(&self.remote) });
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
            let answer = self.remote.get(key, range.as_ref()).await?;
            let expected = match (answer.status(), &range) {
                (StatusCode::NOT_FOUND, _) => return Ok(None),
                (StatusCode::OK, None) => answer.content_length(),
                (StatusCode::PARTIAL_CONTENT, Some(range)) => Some(range.end.saturating_sub(range.start)),
                _ => return Err(refused("read", answer).await),
            };
            Ok(Some(try_unfold((answer, expected), next_chunk).boxed()))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        self.remote.delete(key).boxed()
    }

    fn afterlife(&self) -> Duration {
        // A request that the service has received whole may still be carried out.
        WHOLE
    }
}

/// Passes on what comes, and fails when it was not all.
async fn next_chunk(
    (mut answer, left): (Response, Option<u64>),
) -> Result<Option<(Bytes, (Response, Option<u64>))>, BlobError> {
    let chunk = answer.chunk().await.map_err(|error| unavailable(&error))?;
    match (chunk, left) {
        (Some(chunk), left) => {
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let left = match left {
                Some(left) => Some(left.checked_sub(length).ok_or_else(wrong_length)?),
                None => None,
            };
            Ok(Some((chunk, (answer, left))))
        }
        (None, Some(1..)) => Err(wrong_length()),
        (None, _) => Ok(None),
    }
}

fn wrong_length() -> BlobError {
    BlobError::Failed("an object does not have the length that it should have".to_owned())
}

struct S3Upload {
    spooled: Spooled,
    remote: Arc<Remote>,
}

impl Upload for S3Upload {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.spooled.write(chunk).boxed()
    }

    fn keep<'a>(self: Box<Self>, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        async move {
            let (arrived, size) = self.spooled.finish().await?;
            self.remote.put(key, &arrived, size).await
        }
        .boxed()
    }
}

impl Remote {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn get(&self, key: &str, range: Option<&Range<u64>>) -> Result<Response, BlobError> {
        let key = self.key(key);
        again(async || {
            let url = self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED);
            let mut request = self.http.get(url);
            if let Some(range) = range {
                let last = range.end.saturating_sub(1);
                request = request.header(RANGE, format!("bytes={}-{last}", range.start));
            }
            Ok(request)
        })
        .await
    }

    async fn put(&self, key: &str, arrived: &Guard, size: u64) -> Result<(), BlobError> {
        let key = self.key(key);
        let answer = again(async || {
            let url = self.bucket.put_object(Some(&self.credentials), &key).sign(SIGNED);
            let file = File::open(arrived.path()).await.map_err(|error| refusal(&error))?;
            let body = Body::wrap_stream(ReaderStream::with_capacity(file, CHUNK));
            Ok(self.http.put(url).header(CONTENT_LENGTH, size).body(body))
        })
        .await?;
        if answer.status().is_success() { Ok(()) } else { Err(refused("store", answer).await) }
    }

    async fn delete(&self, key: &str) -> Result<(), BlobError> {
        let key = self.key(key);
        let answer = again(async || {
            let url = self.bucket.delete_object(Some(&self.credentials), &key).sign(SIGNED);
            Ok(self.http.delete(url))
        })
        .await?;
        if answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(refused("delete", answer).await)
    }
}

/// Sends a request, and again after a pause when the service cannot be reached or is in trouble. Every request here may be
/// carried out more than once.
async fn again(
    make: impl AsyncFn() -> Result<reqwest::RequestBuilder, BlobError>,
) -> Result<Response, BlobError> {
    let mut attempt = 1;
    loop {
        let outcome = match timeout(WHOLE, make().await?.send()).await {
            Ok(Ok(answer)) if !in_trouble(answer.status()) => return Ok(answer),
            Ok(Ok(answer)) => refused("serve", answer).await,
            Ok(Err(error)) => unavailable(&error),
            Err(_) => BlobError::Unavailable("no answer in time".to_owned()),
        };
        if attempt == ATTEMPTS {
            return Err(outcome);
        }
        tracing::debug!(error = %outcome, attempt, "a request to the bucket failed; it is sent again");
        sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
        attempt += 1;
    }
}

fn in_trouble(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// What an answer that is not the one hoped for says, without the URL, which has a signature in it.
async fn refused(what: &str, answer: Response) -> BlobError {
    let status = answer.status();
    let text = timeout(CONNECT, beginning(answer)).await.unwrap_or_default();
    let problem = format!("the bucket does not {what} an object: {status} {text}");
    match status {
        StatusCode::INSUFFICIENT_STORAGE => BlobError::Full(problem),
        status if in_trouble(status) => BlobError::Unavailable(problem),
        _ => BlobError::Failed(problem),
    }
}

/// The beginning of an answer; the rest is not read.
async fn beginning(mut answer: Response) -> String {
    const MOST: usize = 500;
    let mut bytes = Vec::new();
    while bytes.len() < MOST
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend(chunk.iter().take(MOST - bytes.len()));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unavailable(error: &reqwest::Error) -> BlobError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    BlobError::Unavailable(cause.to_string())
}
