//! Agents that write at full speed, or paced. Everything that takes the client time is done before.

use crate::agents::Agent;
use crate::cores;
use crate::host::Host;
use crate::load::{self, Answered, Request};
use crate::progress::Progress;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rookery_atproto::syntax::Tid;
use rookery_testkit::agent::{APPLY, CREATE, record};
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// The collection that everything is written to.
pub(crate) const NOTE: &str = "com.example.bench";
/// Writes of one commit when a repo is filled: as many as a commit may have.
pub(crate) const BATCH: usize = 200;
/// Connections of writers unless told otherwise.
pub(crate) const CONNECTIONS: usize = 32;

/// A write that was acknowledged, with its revision.
pub(crate) type Written = Answered<String>;

/// Where in a repo new records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// At the end: the server chooses keys, which are times
    Append,
    /// Anywhere: keys of the same form, at random
    Random,
}

impl Order {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Random => "random",
        }
    }
}

/// Signs `total` creates of records with `size` bytes of text, by the agents in turn. Proofs are good for five minutes.
pub(crate) fn sign(host: &Host, agents: &[Agent], total: u64, size: usize) -> Result<Vec<Request>> {
    sign_keyed(host, agents, 0..total, size, Order::Append)
}

/// The same of the records with these numbers, where in the repos one likes.
pub(crate) fn sign_keyed(
    host: &Host,
    agents: &[Agent],
    numbers: Range<u64>,
    size: usize,
    order: Order,
) -> Result<Vec<Request>> {
    let count = usize::try_from(numbers.end - numbers.start)?;
    cores::each("requests signed", count, |index| {
        let agent = agents.get(index % agents.len().max(1)).context("without agents nothing is written")?;
        let n = numbers.start + u64::try_from(index)?;
        let input = json!({"repo": agent.did(), "collection": NOTE, "record": note(n, size)});
        agent.post(host, CREATE, &placed(input, n, order)?)
    })
}

/// Sends what was signed: see [`load::run`].
pub(crate) async fn run(
    host: &Host,
    signed: Vec<Request>,
    connections: usize,
    rate: Option<f64>,
) -> Result<Vec<Written>> {
    load::run(host.target.authority(), "records written", signed, connections, rate, rev).await
}

/// Writes the records with these numbers to the repo of one agent, 200 in a commit, each batch signed when its turn comes.
pub(crate) async fn fill(
    host: &Host,
    agent: &Agent,
    numbers: Range<u64>,
    size: usize,
    order: Order,
) -> Result<()> {
    let progress = Progress::start("records written", numbers.end);
    let mut http = host.http().await?;
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + u64::try_from(BATCH)?);
        let request = batch(host, agent, next..end, size, order)?;
        load::send(&mut http, request, rev).await?;
        next = end;
        progress.counter().store(next, Ordering::Relaxed);
    }
    Ok(())
}

/// One commit of the records with these numbers.
pub(crate) fn batch(
    host: &Host,
    agent: &Agent,
    numbers: Range<u64>,
    size: usize,
    order: Order,
) -> Result<Request> {
    ensure!(numbers.end - numbers.start <= u64::try_from(BATCH)?, "a commit has at most {BATCH} writes");
    let create = |n| {
        let write = json!({
            "$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "value": note(n, size),
        });
        placed(write, n, order)
    };
    let writes = numbers.map(create).collect::<Result<Vec<Value>>>()?;
    agent.post(host, APPLY, &json!({"repo": agent.did(), "writes": writes}))
}

/// A create with the key that the order asks for; none leaves it to the server.
fn placed(mut create: Value, n: u64, order: Order) -> Result<Value> {
    if let (Order::Random, Some(members)) = (order, create.as_object_mut()) {
        members.insert("rkey".to_owned(), random_rkey(n)?.into());
    }
    Ok(create)
}

/// The key of the record with this number where keys are random: always the same, and another for each. Like a
/// TID in form, so that only the order differs.
pub(crate) fn random_rkey(n: u64) -> Result<String> {
    // The finalizer of splitmix64.
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Ok(Tid::from_u64((z ^ (z >> 31)) >> 1).context("63 bits are a TID")?.to_string())
}

/// The revision that an answer to a write tells.
pub(crate) fn rev(body: &Bytes) -> Result<String> {
    let body: Value = serde_json::from_slice(body)?;
    let rev = body.pointer("/commit/rev").and_then(Value::as_str).context("a write without a commit")?;
    Ok(rev.to_owned())
}

fn note(n: u64, size: usize) -> Value {
    record(NOTE, json!({"n": n, "text": "a".repeat(size)}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn random_keys_differ_and_are_not_in_order() {
        let keys: Vec<String> = (0..10_000).map(|n| random_rkey(n).unwrap()).collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        let rising = keys.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((4_500..5_500).contains(&rising), "{rising} of 10000 follow in order");
        assert_eq!(keys[7], random_rkey(7).unwrap());
    }
}
