//! Records that are read, one and a hundred at a time.

use crate::agents;
use crate::figures::{Meter, Spread, or_unknown, print, rate, round};
use crate::hello;
use crate::host::Host;
use crate::load::{self, Answered, Request};
use crate::progress::say;
use crate::writers::{self, NOTE, Order};
use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http::header;
use http_body_util::Full;
use serde_json::json;
use std::time::Instant;

/// Records of a page of `listRecords`.
const PAGE: u64 = 100;

/// `getRecord` and `listRecords`
#[derive(Debug, Parser)]
pub(crate) struct Read {
    /// Records in the repo
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// How many times one of them is read
    #[arg(long, default_value_t = 100_000)]
    gets: u64,
    /// How many times a page of 100 is
    #[arg(long, default_value_t = 10_000)]
    lists: u64,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

impl Read {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let agents = agents::enroll(host, 1).await?;
        let agent = agents.first().context("no agent")?;
        writers::fill(host, agent, 0..self.records, self.size, Order::Random).await?;
        let gets = (0..self.gets).map(|n| {
            let rkey = writers::random_rkey(n % self.records.max(1))?;
            get(host, &format!("getRecord?repo={}&collection={NOTE}&rkey={rkey}", agent.did()))
        });
        self.measure(host, "getRecord", gets.collect::<Result<_>>()?).await?;
        let lists = (0..self.lists).map(|n| {
            // From some record on. Near the end of the repo a page is short: few of them are.
            let after = writers::random_rkey(n % self.records.max(1))?;
            let path =
                format!("listRecords?repo={}&collection={NOTE}&limit={PAGE}&cursor={after}", agent.did());
            get(host, &path)
        });
        self.measure(host, "listRecords", lists.collect::<Result<_>>()?).await
    }

    async fn measure(&self, host: &Host, method: &str, requests: Vec<Request>) -> Result<()> {
        let count = u64::try_from(requests.len())?;
        let sample = requests.first().context("nothing to read")?.clone();
        let meter = Meter::start(host);
        let start = Instant::now();
        let authority = host.target.authority();
        let answers = load::run(authority, method, requests, self.connections, None, load::length).await?;
        let (time, used) = (start.elapsed(), meter.stop());
        let times = Spread::of(answers.iter().map(Answered::time).collect());
        let bytes = answers.iter().map(|answer| answer.value).sum::<usize>() / answers.len().max(1);
        say("the floor: as many bytes over HTTP");
        let bare = hello::measure(&(sample, bytes), self.connections).await?;
        let (per_s, cpu) = (rate(count, time), used.server_us_per(count));
        print(
            &json!({
                "scenario": "read", "method": method, "connections": self.connections, "records": self.records,
                "requests": count, "answer_bytes": bytes, "requests_per_s": round(per_s), "time": times.json(),
                "server_cpu_us_per_request": cpu, "used": used.json(),
                "floor_http": bare.json(), "of_floor": round(per_s / bare.per_s),
            }),
            &format!(
                "{method} over {} connections: {per_s:.0}/s, p50 {} ms, p99 {} ms, {} us of CPU each (HTTP alone {:.0}/s, \
                 {} us)",
                self.connections,
                times.p50_ms,
                times.p99_ms,
                or_unknown(cpu),
                bare.per_s,
                or_unknown(bare.cpu_us),
            ),
        );
        Ok(())
    }
}

/// A query of the repo methods, without a body.
pub(crate) fn get(host: &Host, query: &str) -> Result<Request> {
    Ok(http::Request::get(format!("/xrpc/com.atproto.repo.{query}"))
        .header(header::HOST, host.target.authority())
        .body(Full::new(Bytes::new()))?)
}
