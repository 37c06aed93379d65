//! Many records in one commit.

use crate::agents;
use crate::figures::{Meter, Spread, or_unknown, print, rate, round};
use crate::floor;
use crate::host::Host;
use crate::load::{self, Answered};
use crate::progress::say;
use crate::writers::{self, Order};
use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use std::time::{Duration, Instant};

/// Bytes that a record leaves in the write-ahead log, at least: for the floor.
const RECORD: usize = 512;
const FLOOR: Duration = Duration::from_secs(2);

/// `applyWrites` of one account, one batch after the other
#[derive(Debug, Parser)]
pub(crate) struct Batch {
    /// Records in all
    #[arg(long, default_value_t = 60_000)]
    records: u64,
    /// Records of each commit
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=200))]
    batch: u64,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

impl Batch {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let agents = agents::enroll(host, 1).await?;
        let agent = agents.first().context("no agent")?;
        let batches = self.records.div_ceil(self.batch);
        let signed = (0..batches).map(|n| {
            let numbers = n * self.batch..self.records.min((n + 1) * self.batch);
            writers::batch(host, agent, numbers, self.size, Order::Append)
        });
        let signed = signed.collect::<Result<Vec<_>>>()?;
        let meter = Meter::start(host);
        let start = Instant::now();
        let written =
            load::run(host.target.authority(), "batches written", signed, 1, None, writers::rev).await?;
        let (time, used) = (start.elapsed(), meter.stop());
        let times = Spread::of(written.iter().map(Answered::time).collect());
        say("the floor: appends with an fsync each");
        let append = RECORD * usize::try_from(self.batch)?;
        let floor = floor::appends(host.dir(), append, FLOOR)?;
        let (per_s, cpu) = (rate(self.records, time), used.server_us_per(self.records));
        print(
            &json!({
                "scenario": "batch", "records": self.records, "batch": self.batch, "records_per_s": round(per_s),
                "time": times.json(), "server_cpu_us_per_record": cpu, "used": used.json(),
                "floor_fsyncs_per_s": round(floor), "of_floor": round(rate(batches, time) / floor),
            }),
            &format!(
                "batches of {}: {per_s:.0} records/s, p50 {} ms, p99 {} ms a batch, {} us of CPU a record ({floor:.0} fsyncs/s \
                 of {append} bytes by themselves)",
                self.batch,
                times.p50_ms,
                times.p99_ms,
                or_unknown(cpu),
            ),
        );
        Ok(())
    }
}
