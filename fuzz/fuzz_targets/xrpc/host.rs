//! A server with one account, over a database in memory. Nothing waits: every job is done when it is asked for.

use crate::connection::{Session, control, refusal};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use rookery_atproto::crypto::PublicKey;
use rookery_atproto::identity::did_doc::DidDocument;
use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::Did;
use rookery_auth::jwk::PublicJwk;
use rookery_auth::jws::SignatureCheck;
use rookery_auth::mint::{self, ProofClaims, SignError, Signer, TokenClaims};
use rookery_auth::origin::Origins;
use rookery_pds::app::{App, Ports};
use rookery_pds::config::{
    BlobRules, Config, PlcChoice, ProofMemory, RateLimits, Relays, Retention, RotationKey,
};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::ports::{
    BlobError, BlobStream, Blobs, ByteStream, Clock, Engine, EngineError, Entropy, EntropyError, HttpRequest,
    HttpResponse, Job, Mode, Net, NetError, RepoId, Sql, SqlError, StreamJob, TermsSource, Turn, Upload,
    Verify, Written,
};
use rookery_pds::terms::Terms;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

const ORIGIN: &str = "http://localhost:2583";
/// The blob that is there from the start.
const FIRST: &str = "a blob";
const TERMS: &str = "Be kind.";

/// The server and its agent.
pub(crate) struct Host {
    router: Router,
    machine: Arc<Machine>,
    token: String,
    pub(crate) did: Did,
    pub(crate) key: PublicKey,
}

impl Host {
    /// Starts, enrolls the agent, and writes a few records and a blob.
    pub(crate) fn start() -> Self {
        let connection = Connection::open_in_memory().expect("a database");
        connection.set_prepared_statement_cache_capacity(256);
        control(&connection, "BEGIN").expect("a transaction");
        let machine = Arc::new(Machine {
            connection: Mutex::new(connection),
            objects: Mutex::default(),
            time: AtomicI64::new(1_750_000_000_000_000),
            counter: AtomicU64::new(1),
        });
        let app =
            App::open(config(), machine.ports(), &[7; 32]).now_or_never().expect("at once").expect("a start");
        let router = rookery_pds::http::router(app, Router::new());
        let claims = TokenClaims {
            jti: "t",
            tos: TERMS.as_bytes(),
            aud: ORIGIN,
            iat: machine.now_micros() / 1_000_000,
            exp: None,
        };
        let token = mint::access_token(&Key::the_only(), &claims).expect("a token");
        let did = Did::parse("did:web:nobody.test").expect("a DID");
        let key = PublicKey::from_did_key("did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme")
            .expect("a key");
        let mut host = Self { router, machine, token, did, key };
        host.enroll();
        for (path, kind, body) in WRITES {
            let mut request = Request::post(path).header(header::CONTENT_TYPE, kind);
            for (name, value) in host.credentials(path) {
                request = request.header(name, value);
            }
            let body = body.replace("{did}", host.did.as_str());
            let (status, body) = send(host.router(), request.body(Body::from(body)).expect("a request"));
            assert_eq!(status, StatusCode::OK, "{path}: {body:?}");
        }
        control(&host.machine.connection.lock().expect("one thread"), "COMMIT").expect("a commit");
        control(&host.machine.connection.lock().expect("one thread"), "BEGIN").expect("a transaction");
        host
    }

    fn enroll(&mut self) {
        let body = json!({
            "handle": "alice",
            "tos_signature": BASE64URL_NOPAD.encode(&[1; 64]),
            "access_token": self.token,
        });
        let mut request = Request::post("/api/signup").header(header::CONTENT_TYPE, "application/json");
        let (name, value) = self.proof("/api/signup", false);
        request = request.header(name, value);
        let (status, body) =
            send(self.router(), request.body(Body::from(body.to_string())).expect("a request"));
        assert_eq!(status, StatusCode::OK, "{body:?}");
        let did = body_of(&body)["did"].as_str().and_then(|did| Did::parse(did).ok()).expect("a DID");
        let document = Request::get(format!("/{did}")).body(Body::empty()).expect("a request");
        let (_, document) = send(self.router(), document);
        let document = DidDocument::parse_for(&did, &document).expect("a document");
        self.key = document.signing_key().expect("a key");
        self.did = did;
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) fn answer(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        // A second each, so that few proofs are remembered.
        self.machine.time.fetch_add(1_000_000, Ordering::Relaxed);
        send(self.router(), request)
    }

    /// Asks for all of the agent's repo.
    pub(crate) fn export(&self) -> Request<Body> {
        let uri = format!("/xrpc/com.atproto.sync.getRepo?did={}", self.did);
        Request::get(uri).body(Body::empty()).expect("a request")
    }

    /// What a request of the agent needs.
    pub(crate) fn credentials(&self, path: &str) -> [(&'static str, String); 2] {
        [self.proof(path, true), ("authorization", format!("DPoP {}", self.token))]
    }

    fn proof(&self, path: &str, token: bool) -> (&'static str, String) {
        let claims = ProofClaims {
            jti: &self.machine.counter.fetch_add(1, Ordering::Relaxed).to_string(),
            htm: "POST",
            htu: &format!("{ORIGIN}{path}"),
            iat: self.machine.now_micros() / 1_000_000,
            access_token: token.then_some(self.token.as_str()),
            nonce: None,
        };
        ("dpop", mint::proof(&Key::the_only(), &claims).expect("a proof"))
    }

    /// Undoes everything since the start.
    pub(crate) fn take_back(&self) {
        let connection = self.machine.connection.lock().expect("one thread");
        control(&connection, "ROLLBACK")
            .and_then(|()| control(&connection, "BEGIN"))
            .expect("a new transaction");
    }
}

const JSON: &str = "application/json";
const WRITES: [(&str, &str, &str); 4] = [
    ("/xrpc/com.atproto.repo.uploadBlob", "text/plain", FIRST),
    (
        "/xrpc/com.atproto.repo.createRecord",
        JSON,
        r#"{"repo":"{did}","collection":"com.example.a","rkey":"one","record":{"$type":"com.example.a","b":{"$type":"blob","ref":{"$link":"bafkreicvocr46arap4otkljm72rylpslyczlsqkpmbv2u32v3nqlemxsee"},"mimeType":"text/plain","size":6}}}"#,
    ),
    (
        "/xrpc/com.atproto.repo.createRecord",
        JSON,
        r#"{"repo":"{did}","collection":"com.example.a","rkey":"two","record":{"$type":"com.example.a"}}"#,
    ),
    (
        "/xrpc/com.atproto.repo.createRecord",
        JSON,
        r#"{"repo":"{did}","collection":"com.example.b","rkey":"self","record":{"$type":"com.example.b"}}"#,
    ),
];

/// Sends a request and collects its answer.
pub(crate) fn send(router: Router, request: Request<Body>) -> (StatusCode, Bytes) {
    let answer = router.oneshot(request).now_or_never().expect("nothing waits").expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().now_or_never().expect("nothing waits");
    (status, body.expect("a whole body").to_bytes())
}

pub(crate) fn body_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn config() -> Config {
    Config {
        origins: Origins::new(&[ORIGIN]).expect("an origin"),
        public_url: ORIGIN.to_owned(),
        service_did: Did::parse("did:web:localhost%3A2583").expect("a DID"),
        handle_domain: HandleDomain::new(".test").expect("a domain"),
        plc: PlcChoice::Embedded,
        rotation_key: RotationKey::Stored,
        retention: Retention { age: Duration::from_secs(3_600), events: 1_000 },
        relays: Relays { origins: Vec::new(), account_cap: 100 },
        blobs: BlobRules { limit: 100_000, grace: Duration::from_secs(3_600) },
        proofs: ProofMemory::Process,
        rates: RateLimits::default(),
        local: true,
    }
}

/// A key whose signatures are taken for good.
struct Key(PublicJwk);

impl Key {
    fn the_only() -> Self {
        Self(PublicJwk::Ed25519 { x: [7; 32] })
    }
}

impl Signer for Key {
    fn jwk(&self) -> &PublicJwk {
        &self.0
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(vec![1; 64])
    }
}

/// Every port at once.
struct Machine {
    connection: Mutex<Connection>,
    objects: Mutex<BTreeMap<String, Bytes>>,
    time: AtomicI64,
    counter: AtomicU64,
}

impl Machine {
    fn ports(self: &Arc<Self>) -> Ports {
        Ports {
            engine: Arc::clone(self) as _,
            directory: Arc::new(StoreDirectory::new(Arc::clone(self) as _)),
            blobs: Arc::new(Objects(Arc::clone(self))),
            net: Arc::clone(self) as _,
            verify: Arc::clone(self) as _,
            clock: Arc::clone(self) as _,
            entropy: Arc::clone(self) as _,
            terms: Arc::clone(self) as _,
        }
    }

    fn perform(&self, job: impl FnOnce(&dyn Sql) -> Result<(), SqlError>) -> Result<(), EngineError> {
        let connection = self.connection.lock().map_err(|_| EngineError::Stopped)?;
        control(&connection, "SAVEPOINT job")?;
        let outcome = job(&Session(&connection));
        if outcome.is_err() {
            control(&connection, "ROLLBACK TO job")?;
        }
        connection.execute_batch("RELEASE job").map_err(|error| refusal(&error))?;
        Ok(outcome?)
    }
}

impl Engine for Machine {
    fn submit(&self, _: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(ready(self.perform(job)))
    }

    /// Nobody looks.
    fn written(&self) -> Written {
        Written::default()
    }

    fn stream(&self, mut job: Box<dyn StreamJob>) -> ByteStream {
        let mut chunks = Vec::new();
        let end = self.perform(|sql| {
            while let Some(chunk) = job.next(sql)? {
                chunks.push(Ok(chunk));
            }
            Ok(())
        });
        chunks.extend(end.err().map(Err));
        StreamExt::boxed(stream::iter(chunks))
    }

    fn turn(&self, _: RepoId) -> BoxFuture<'_, Turn> {
        Box::pin(ready(Turn::free()))
    }
}

impl Clock for Machine {
    fn now_micros(&self) -> i64 {
        self.time.load(Ordering::Relaxed)
    }
}

impl Entropy for Machine {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for part in buffer.chunks_mut(8) {
            let number = self.counter.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            part.copy_from_slice(&number[..part.len()]);
        }
        Ok(())
    }
}

impl Verify for Machine {
    fn verify(&self, _: SignatureCheck) -> BoxFuture<'_, bool> {
        Box::pin(ready(true))
    }
}

impl TermsSource for Machine {
    fn current(&self) -> Result<Arc<Terms>, String> {
        Ok(Arc::new(Terms::new(TERMS.to_owned())))
    }
}

impl Net for Machine {
    fn fetch(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, NetError>> {
        Box::pin(ready(Err(NetError::Timeout(request.url))))
    }

    fn txt(&self, _: String) -> BoxFuture<'_, Result<Vec<String>, NetError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

struct Objects(Arc<Machine>);

impl Blobs for Objects {
    fn receive<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>, BlobError>> {
        let arriving = Arriving { machine: Arc::clone(&self.0), key: key.to_owned(), bytes: Vec::new() };
        Box::pin(ready(Ok(Box::new(arriving) as Box<dyn Upload>)))
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<BlobStream>, BlobError>> {
        let object = self.0.objects.lock().expect("one thread").get(key).cloned();
        let part = |bytes: Bytes| match range {
            Some(Range { start, end }) => {
                let [start, end] = [start, end].map(|at| usize::try_from(at).expect("within the blob"));
                bytes.slice(start..end)
            }
            None => bytes,
        };
        let stream = object.map(|bytes| StreamExt::boxed(stream::iter([Ok(part(bytes))])));
        Box::pin(ready(Ok(stream)))
    }

    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(ready(Ok(())))
    }

    fn afterlife(&self) -> Duration {
        Duration::ZERO
    }
}

struct Arriving {
    machine: Arc<Machine>,
    key: String,
    bytes: Vec<u8>,
}

impl Upload for Arriving {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.bytes.extend_from_slice(&chunk);
        Box::pin(ready(Ok(())))
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        let Self { machine, key, bytes } = *self;
        let mut objects = machine.objects.lock().expect("one thread");
        // The first one is the agent's; those of requests that were taken back are of no use.
        while objects.len() > 100
            && let Some((last, _)) = objects.iter().rfind(|(_, bytes)| *bytes != FIRST)
        {
            let last = last.clone();
            objects.remove(&last);
        }
        let before = objects.insert(key, Bytes::from(bytes));
        assert!(before.is_none(), "a key is used once");
        drop(objects);
        Box::pin(ready(Ok(())))
    }
}
