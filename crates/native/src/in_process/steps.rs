//! Streams of which every step has a snapshot of its own, as on a host that keeps none open: they give the same bytes.

use super::Host;
use crate::sqlite::{Bounds, SqliteEngine};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use rookery_atproto::car;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{Link, Step, walk};
use rookery_atproto::repo::Commit;
use rookery_pds::app::Ports;
use rookery_pds::config::{Config, RateLimits};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::ports::{
    ByteStream, Engine, EngineError, Job, Mode, RepoId, Sql, StreamJob, Turn, Written, run,
};
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{APPLY, record};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const NOTE: &str = "com.example.steps";
/// More than a search reads in one step.
const RECORDS: usize = 4_300;

/// An engine that can take each step of a stream in a read of its own.
struct Stepwise {
    engine: Arc<SqliteEngine>,
    on: AtomicBool,
    chunks: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
}

impl Engine for Stepwise {
    fn submit(&self, mode: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>> {
        self.engine.submit(mode, job)
    }

    fn stream(&self, job: Box<dyn StreamJob>) -> ByteStream {
        if !self.on.load(Ordering::Relaxed) {
            return self.engine.stream(job);
        }
        let (chunks, longest) = (Arc::clone(&self.chunks), Arc::clone(&self.longest));
        let engine = Arc::clone(&self.engine);
        let step = move |mut job: Box<dyn StreamJob>| {
            let engine = Arc::clone(&engine);
            async move {
                let step = move |sql: &dyn Sql| -> Result<_, EngineError> {
                    Ok(job.next(sql)?.map(|chunk| (chunk, job)))
                };
                run(engine.as_ref(), Mode::Read, step).await
            }
        };
        let note = move |chunk: &Result<Bytes, EngineError>| {
            chunks.fetch_add(1, Ordering::Relaxed);
            longest.fetch_max(chunk.as_ref().map_or(0, Bytes::len), Ordering::Relaxed);
        };
        stream::try_unfold(job, step).inspect(note).boxed()
    }

    fn turn(&self, repo: RepoId) -> BoxFuture<'_, Turn> {
        self.engine.turn(repo)
    }

    fn written(&self) -> Written {
        self.engine.written()
    }
}

#[tokio::test]
async fn a_stream_is_the_same_in_one_snapshot_and_step_by_step() {
    let mut stepwise = None;
    let host = Host::with(|dir, config, ports| {
        let engine = Arc::new(Stepwise {
            engine: Arc::new(SqliteEngine::open(&dir.join("steps.db"), Bounds::default()).unwrap()),
            on: AtomicBool::new(false),
            chunks: Arc::default(),
            longest: Arc::default(),
        });
        stepwise = Some(Arc::clone(&engine));
        let directory = Arc::new(StoreDirectory::new(engine.clone()));
        (Config { rates: RateLimits::default(), ..config }, Ports { engine, directory, ..ports })
    })
    .await;
    let stepwise = stepwise.unwrap();
    let agent = writer(&host).await;
    let rev = agent.head().await.1;
    agent.put(NOTE, "k0001", json!({"n": -1})).await;
    let both = async |nsid: &str, params: &[(&str, &str)]| {
        let whole = host.target.query(nsid, params).await;
        stepwise.chunks.store(0, Ordering::Relaxed);
        stepwise.on.store(true, Ordering::Relaxed);
        let stepped = host.target.query(nsid, params).await;
        stepwise.on.store(false, Ordering::Relaxed);
        assert_eq!((whole.status, &whole.body), (stepped.status, &stepped.body), "{nsid} {params:?}");
        (whole.body, stepwise.chunks.load(Ordering::Relaxed))
    };

    let did = ("did", agent.did.as_str());
    let (export, chunks) = both("com.atproto.sync.getRepo", &[did]).await;
    assert_eq!(export, in_order(&export));
    assert!((4..20).contains(&chunks), "{chunks} chunks of {} bytes", export.len());
    let (since, chunks) = both("com.atproto.sync.getRepo", &[did, ("since", &rev)]).await;
    assert!(since.len() < export.len() / 10 && chunks == 1, "{} bytes", since.len());
    let (none, _) = both("com.atproto.sync.getRepo", &[did, ("since", &agent.head().await.1)]).await;
    assert_eq!(car::read_all(&none).unwrap().blocks.len(), 0);

    let blocks = car::read_all(&export).unwrap().blocks;
    let cids: Vec<_> = blocks.keys().take(40).map(Cid::to_string).collect();
    let params: Vec<_> = [did].into_iter().chain(cids.iter().map(|cid| ("cids", cid.as_str()))).collect();
    let (found, _) = both("com.atproto.sync.getBlocks", &params).await;
    assert_eq!(car::read_all(&found).unwrap().blocks.len(), 40);
    let absent = Cid::dag_cbor(b"absent").to_string();
    let (refusal, chunks) =
        both("com.atproto.sync.getBlocks", &[did, ("cids", &cids[0]), ("cids", &absent)]).await;
    assert!(String::from_utf8_lossy(&refusal).contains(&absent));
    assert!(chunks >= 3, "the search took one step");
    assert!(stepwise.longest.load(Ordering::Relaxed) < 80_000, "more than a chunk and a block is in memory");
    host.audit().await;
}

async fn writer(host: &Host) -> TestAgent {
    let agent = TestAgent::enroll(&host.target).await;
    let writes: Vec<_> = (0..RECORDS)
        .map(|n| {
            let value = record(NOTE, json!({"n": n, "text": "word ".repeat(n % 20)}));
            let rkey = format!("k{n:04}");
            json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": rkey, "value": value})
        })
        .collect();
    for writes in writes.chunks(200) {
        agent.call(APPLY, json!({ "writes": writes })).await.ok();
    }
    agent
}

/// What is in an export, put together in the order that it must have.
fn in_order(export: &[u8]) -> Vec<u8> {
    let car = car::read_all(export).unwrap();
    let root = car.roots[0];
    let commit = Commit::decode(&car.blocks[&root]).unwrap();
    let mut out = car::header(&[root]).to_vec();
    car::section(&root, &car.blocks[&root], &mut out);
    for step in walk(&car.blocks, Link::to_cid(commit.data), |_| true) {
        match step.unwrap() {
            Step::Node { link, block } => car::section(&link.cid, &block, &mut out),
            Step::Leaf { value, .. } => car::section(&value, &car.blocks[&value], &mut out),
        }
    }
    out
}
