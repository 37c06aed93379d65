//! Records that are created, each acknowledged once it is on disk.

use crate::figures::{Meter, Spread, print, rate, round};
use crate::floor;
use crate::host::Host;
use crate::progress::say;
use crate::writers;
use anyhow::Result;
use clap::Parser;
use serde_json::json;
use std::time::{Duration, Instant};

/// Bytes of one append of the floor: about what a write leaves in the write-ahead log.
const APPEND: usize = 32 * 1024;
/// How long the floor is measured.
const FLOOR: Duration = Duration::from_secs(2);

/// `createRecord`, one after the other by many agents at once
#[derive(Debug, Parser)]
pub(crate) struct Write {
    /// Records
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Agents that write at the same time, each on its own connection; one run for each number
    #[arg(long, value_delimiter = ',', default_value = "1,32")]
    agents: Vec<usize>,
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
        let agents = writers::enroll(host, count).await?;
        let signed = writers::sign(host, &agents, self.events, self.size)?;
        let meter = Meter::start(host);
        let start = Instant::now();
        let written = writers::run(host, signed, None).await?;
        let time = start.elapsed();
        let used = meter.stop();
        let times = Spread::of(written.iter().map(|write| write.answered - write.sent).collect());
        say("the floor: appends with an fsync each");
        let floor = floor::appends(host.dir(), APPEND, FLOOR)?;
        let per_s = rate(self.events, time);
        print(
            &json!({
                "scenario": "write", "agents": count, "records": self.events, "written_per_s": round(per_s),
                "time": times.json(), "server_cpu_us_per_write": used.server_us_per(self.events), "used": used.json(),
                "floor_fsyncs_per_s": round(floor), "of_floor": round(per_s / floor),
            }),
            &format!(
                "write, {count} agents: {per_s:.0} records/s, p50 {} ms, p99 {} ms ({floor:.0} fsyncs/s by themselves)",
                times.p50_ms, times.p99_ms
            ),
        );
        Ok(())
    }
}
