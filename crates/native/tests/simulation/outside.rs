//! Everything a simulated machine has besides its database: a clock that is set, a directory and a blob store that fail.

use crate::random::Random;
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt, stream};
use rookery_atproto::identity::plc::{DidData, Operation, render_did_doc};
use rookery_atproto::syntax::Did;
use rookery_auth::jws::SignatureCheck;
use rookery_pds::ports::{
    BlobError, BlobStream, Blobs, Clock, Entropy, EntropyError, HttpRequest, HttpResponse, Method, Net,
    NetError, TermsSource, Upload, Verify,
};
use rookery_pds::terms::Terms;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// When every run begins.
pub(crate) const START: i64 = 1_750_000_000_000_000;
/// Where the directory is, if it is elsewhere.
pub(crate) const DIRECTORY: &str = "https://plc.example.com";

/// Lets others go first, now and then more than once.
pub(crate) async fn pause(random: &Random) {
    for _ in 0..random.below(3) {
        let mut waited = false;
        futures_util::future::poll_fn(|context| {
            if waited {
                return Poll::Ready(());
            }
            waited = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// A clock that the schedule sets.
#[derive(Default)]
pub(crate) struct Time {
    now: AtomicI64,
    latest: AtomicI64,
}

impl Time {
    pub(crate) fn set(&self, micros: i64) {
        self.now.store(micros, Ordering::Relaxed);
        self.latest.fetch_max(micros, Ordering::Relaxed);
    }

    /// The latest time it has ever shown.
    pub(crate) fn latest(&self) -> i64 {
        self.latest.load(Ordering::Relaxed)
    }
}

impl Clock for Time {
    fn now_micros(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill_with(|| self.next().to_le_bytes()[0]);
        Ok(())
    }
}

/// Takes every signature: whether one is right is no question of time and order.
pub(crate) struct Trusting;

impl Verify for Trusting {
    fn verify(&self, _: SignatureCheck) -> BoxFuture<'_, bool> {
        Box::pin(ready(true))
    }
}

/// Terms that do not change.
pub(crate) struct Fixed(Arc<Terms>);

impl Fixed {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Terms::new("Be kind.".to_owned())))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }
}

impl TermsSource for Fixed {
    fn current(&self) -> Result<Arc<Terms>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// Other machines: they go on while this one restarts.
pub(crate) struct Others {
    random: Random,
    /// The directory: the genesis operation of each DID.
    pub(crate) directory: Mutex<BTreeMap<String, Operation>>,
    /// The objects of the blob store.
    pub(crate) objects: Mutex<BTreeMap<String, Bytes>>,
    calm: AtomicBool,
}

impl Others {
    pub(crate) fn new(random: Random) -> Arc<Self> {
        let (directory, objects) = (Mutex::default(), Mutex::default());
        Arc::new(Self { random, directory, objects, calm: AtomicBool::new(true) })
    }

    pub(crate) fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
    }

    fn unlucky(&self, times: usize) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.random.once_in(times)
    }

    fn answer(&self, request: &HttpRequest) -> Option<Value> {
        let path = request.url.strip_prefix(DIRECTORY)?.trim_start_matches('/');
        let (did, rest) = path.split_once('/').unwrap_or((path, ""));
        let mut directory = self.directory.lock().unwrap();
        if request.method == Method::Post {
            let operation = Operation::from_json(request.body.as_deref()?).ok()?;
            let known = directory.entry(did.to_owned()).or_insert_with(|| operation.clone());
            return (*known == operation).then_some(Value::Null);
        }
        let operation = directory.get(did)?;
        Some(match rest {
            "log/last" => operation.to_json(),
            _ => render_did_doc(&Did::parse(did).ok()?, &DidData::of(operation)?),
        })
    }
}

impl Net for Others {
    fn fetch(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, NetError>> {
        async move {
            pause(&self.random).await;
            if self.unlucky(6) {
                return Err(NetError::Unreachable(request.url, "no route".to_owned()));
            }
            let answer = self.answer(&request);
            pause(&self.random).await;
            // It arrived, but its answer does not.
            if self.unlucky(6) {
                return Err(NetError::Timeout(request.url));
            }
            let status = if answer.is_some() { 200 } else { 404 };
            let body = Bytes::from(answer.unwrap_or_default().to_string());
            Ok(HttpResponse { status, retry_after: None, body })
        }
        .boxed()
    }

    fn txt(&self, _: String) -> BoxFuture<'_, Result<Vec<String>, NetError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        pause(&self.random).boxed()
    }
}

/// The blob store, as one machine uses it.
pub(crate) struct Bucket(pub(crate) Arc<Others>);

struct Arriving {
    others: Arc<Others>,
    key: String,
    bytes: Vec<u8>,
}

impl Blobs for Bucket {
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        let others = Arc::clone(&self.0);
        let arriving = Arriving { others, key: key.to_owned(), bytes: Vec::new() };
        Box::pin(ready(Ok(Box::new(arriving) as Box<dyn Upload>)))
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        assert!(range.is_none(), "nobody asks for parts here");
        let object = self.0.objects.lock().unwrap().get(key).cloned();
        let stream = object.map(|bytes| stream::iter([Ok(bytes)]).boxed());
        Box::pin(ready(Ok(stream)))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        async move {
            pause(&self.0.random).await;
            if self.0.unlucky(8) {
                return Err(BlobError::Unavailable("no answer".to_owned()));
            }
            self.0.objects.lock().unwrap().remove(key);
            pause(&self.0.random).await;
            Ok(())
        }
        .boxed()
    }

    fn afterlife(&self) -> Duration {
        Duration::ZERO
    }
}

impl Upload for Arriving {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.bytes.extend_from_slice(&chunk);
        async { pause(&self.others.random).await }.map(Ok).boxed()
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        async move {
            let Self { others, key, bytes } = *self;
            pause(&others.random).await;
            if others.unlucky(8) {
                return Err(BlobError::Full("no room".to_owned()));
            }
            let before = others.objects.lock().unwrap().insert(key.clone(), bytes.into());
            assert!(before.is_none(), "{key} was used before");
            pause(&others.random).await;
            // It is there, but nobody is told.
            if others.unlucky(8) {
                return Err(BlobError::Failed("the connection broke".to_owned()));
            }
            Ok(())
        }
        .boxed()
    }
}
