//! Agents that write at full speed, or paced. Everything that takes the client time is done before.

use crate::host::{Host, Http};
use crate::progress::Progress;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{APPLY, CREATE, record};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::{Instant as Due, sleep_until};

const NOTE: &str = "com.example.bench";
/// Enrollments at a time.
const AT_ONCE: usize = 8;
/// Writes of one commit when a repo is filled.
const BATCH: usize = 200;

/// A write that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) rev: String,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
}

/// Requests of one agent, signed, in order.
pub(crate) type Signed = Vec<Request<Full<Bytes>>>;

/// Enrolls so many agents, with ES256 keys.
pub(crate) async fn enroll(host: &Host, agents: usize) -> Result<Vec<TestAgent>> {
    ensure!(agents > 0, "without agents nothing is written");
    let progress = Progress::start("agents enrolled", u64::try_from(agents)?);
    let mut enrolled = Vec::with_capacity(agents);
    while enrolled.len() < agents {
        let count = AT_ONCE.min(agents - enrolled.len());
        let batch = (0..count).map(|_| async {
            let agent = TestAgent::enroll(&host.target).await;
            progress.step();
            agent
        });
        enrolled.extend(futures_util::future::join_all(batch).await);
    }
    Ok(enrolled)
}

/// Signs `total` creates of records with `size` bytes of text, dealt out to the agents in turn. Proofs are good for five
/// minutes.
pub(crate) fn sign(host: &Host, agents: &[TestAgent], total: u64, size: usize) -> Result<Vec<Signed>> {
    let progress = Progress::start("requests signed", total);
    let mut signed: Vec<Signed> = agents.iter().map(|_| Vec::new()).collect();
    let mut left = total;
    for n in 0.. {
        for (agent, requests) in agents.iter().zip(&mut signed) {
            if left == 0 {
                return Ok(signed);
            }
            left -= 1;
            let input = json!({"repo": agent.did, "collection": NOTE, "record": note(n, size)});
            requests.push(request(host, agent, CREATE, &input)?);
            progress.step();
        }
    }
    Ok(signed)
}

/// Sends what was signed, each agent on a connection of its own and one request after the other: at full speed, or
/// `rate` a second for all of them together.
pub(crate) async fn run(host: &Host, signed: Vec<Signed>, rate: Option<f64>) -> Result<Vec<Written>> {
    let total = signed.iter().map(Vec::len).sum::<usize>();
    let progress = Progress::start("records written", u64::try_from(total)?);
    let agents = u32::try_from(signed.len())?;
    let gap = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    let connections = try_join_all(signed.iter().map(|_| host.http())).await?;
    let start = Due::now();
    let tasks = (0..agents).zip(signed).zip(connections).map(|((index, requests), mut http)| {
        let counter = progress.counter();
        tokio::spawn(async move {
            let mut written = Vec::with_capacity(requests.len());
            for (n, request) in (0..).zip(requests) {
                if let Some(gap) = gap {
                    // The agents take turns.
                    let turn: u32 = index + agents * n;
                    sleep_until(start + gap * turn).await;
                }
                written.push(write(&mut http, request).await?);
                counter.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(written)
        })
    });
    let mut all = Vec::with_capacity(total);
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await??);
    }
    Ok(all)
}

/// Fills the repo of an agent, 200 records in a commit.
pub(crate) async fn fill(host: &Host, agent: &TestAgent, records: u64, size: usize) -> Result<()> {
    let progress = Progress::start("records written", records);
    let mut http = host.http().await?;
    let mut n = 0;
    while n < records {
        let batch = n..records.min(n + u64::try_from(BATCH)?);
        let create = |n| json!({"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "value": note(n, size)});
        let writes: Vec<Value> = batch.clone().map(create).collect();
        write(&mut http, request(host, agent, APPLY, &json!({"repo": agent.did, "writes": writes}))?).await?;
        n = batch.end;
        progress.counter().store(n, Ordering::Relaxed);
    }
    Ok(())
}

fn note(n: u64, size: usize) -> Value {
    record(NOTE, json!({"n": n, "text": "a".repeat(size)}))
}

fn request(host: &Host, agent: &TestAgent, nsid: &str, input: &Value) -> Result<Request<Full<Bytes>>> {
    let request = Request::post(format!("/xrpc/{nsid}"))
        .header(header::HOST, host.target.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("DPoP {}", agent.token))
        .header("dpop", agent.proof(nsid).sign(&agent.key))
        .body(Full::new(Bytes::from(input.to_string())))?;
    Ok(request)
}

async fn write(http: &mut Http, request: Request<Full<Bytes>>) -> Result<Written> {
    let sent = Instant::now();
    http.ready().await?;
    let response = http.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let answered = Instant::now();
    ensure!(status == 200, "a write was answered with {status}: {}", String::from_utf8_lossy(&body));
    let body: Value = serde_json::from_slice(&body)?;
    let rev = body.pointer("/commit/rev").and_then(Value::as_str).context("a write without a commit")?;
    Ok(Written { rev: rev.to_owned(), sent, answered })
}
