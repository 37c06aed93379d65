//! Records that are created, each acknowledged once it is on disk.

use crate::agents;
use crate::figures::{Meter, Spread, or_unknown, per, print, rate, real, round};
use crate::floor::{self, Least};
use crate::hello;
use crate::host::Host;
use crate::keys::Keys;
use crate::progress::say;
use crate::writers::{self, CONNECTIONS, Written};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;
use std::time::{Duration, Instant};

/// Bytes of one append of the floor: about what a write leaves in the write-ahead log.
const APPEND: usize = 32 * 1024;
/// How long the floor is measured.
const FLOOR: Duration = Duration::from_secs(2);
/// Bytes of an answer to a write.
const ANSWER: usize = 300;
/// Proofs are good for five minutes; this leaves some for the run.
const SIGNING: Duration = Duration::from_mins(4);

/// `createRecord`, one after the other by many agents at once
#[derive(Debug, Parser)]
pub(crate) struct Write {
    /// Records
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Agents that write, in turn; one run for each number
    #[arg(long, value_delimiter = ',', default_value = "1,32")]
    agents: Vec<usize>,
    /// Connections they share, at most one for each: that many write at the same time [default: 32]
    #[arg(long)]
    connections: Option<usize>,
    #[command(flatten)]
    keys: Keys,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

impl Write {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        for agents in &self.agents {
            self.run_with(host, *agents).await?;
        }
        Ok(())
    }

    async fn run_with(&self, host: &Host, count: usize) -> Result<()> {
        let connections = self.connections.unwrap_or(CONNECTIONS).min(count);
        let agents = agents::enroll_with(host, &self.keys, count).await?;
        let signing = Instant::now();
        let signed = writers::sign(host, &agents, self.events, self.size)?;
        ensure!(
            signing.elapsed() < SIGNING,
            "signing takes so long that the proofs are too old: use fewer --events"
        );
        let sample = (signed.first().context("nothing to write")?.clone(), ANSWER);
        let commits_before = host.store().await?.commits;
        let meter = Meter::start(host);
        let start = Instant::now();
        let written = writers::run(host, signed, connections, None).await?;
        let time = start.elapsed();
        let used = meter.stop();
        let commits = host.store().await?.commits.zip(commits_before);
        let commits = commits.map(|(now, before)| now.saturating_sub(before));
        let times = Spread::of(written.iter().map(Written::time).collect());
        say("the floor: appends with an fsync each, HTTP without anything to do, signatures");
        let floor = floor::appends(host.dir(), APPEND, FLOOR)?;
        let (verify, sign) = floor::signatures(self.keys.algorithm)?;
        let bare = hello::measure(&sample, connections).await?;
        let least = Least { http: bare.cpu_us, verify, sign };
        let verified = u64::from(!host.has_sessions());
        let (per_s, cpu) = (rate(self.events, time), used.server_us_per(self.events));
        let of_least = cpu.zip(least.of(verified, 1)).map(|(cpu, least)| cpu / least);
        print(
            &json!({
                "scenario": "write", "agents": count, "connections": connections,
                "credential": agents::credential(host, &self.keys), "records": self.events, "written_per_s": round(per_s),
                "time": times.json(), "server_cpu_us_per_write": cpu, "used": used.json(),
                "writes_per_group_commit": commits.map(|commits| round(per(real(self.events), commits))),
                "floor_fsyncs_per_s": round(floor), "of_floor": round(per_s / floor),
                "floor_cpu": least.json(verified, 1), "cpu_of_floor": of_least.map(round), "floor_http": bare.json(),
            }),
            &format!(
                "write, {count} agents ({}) over {connections} connections: {per_s:.0} records/s, p50 {} ms, p99 {} ms \
                 ({floor:.0} fsyncs/s by themselves), {} us of CPU each ({} us of HTTP and signatures)",
                agents::credential(host, &self.keys),
                times.p50_ms,
                times.p99_ms,
                or_unknown(cpu),
                or_unknown(least.of(verified, 1)),
            ),
        );
        Ok(())
    }
}
