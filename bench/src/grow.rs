//! What a write costs as a repo grows.

use crate::agents::{self, Agent};
use crate::figures::{Meter, Spread, megabytes, or_unknown, per, print, rate, real, round};
use crate::host::{Host, StoreCounts, Where};
use crate::progress::say;
use crate::writers::{self, Order, Written};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use std::time::Instant;

/// Single writes into repos of many sizes: rows, log and processor time of each
#[derive(Debug, Parser)]
pub(crate) struct Grow {
    /// Records in the repo before, from the smallest on; it grows from one to the next
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    sizes: Vec<u64>,
    /// Where new records go; each on a server of its own
    #[arg(long, value_enum, value_delimiter = ',', default_value = "append,random")]
    order: Vec<Order>,
    /// Writes that are measured at each size
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    writes: u64,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

/// What one write takes; none where it cannot be read.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu_us: Option<f64>,
    rows: Option<f64>,
    log_bytes: Option<f64>,
    stored_bytes: Option<f64>,
}

impl Grow {
    pub(crate) async fn run(&self, place: &Where) -> Result<()> {
        ensure!(self.sizes.is_sorted(), "--sizes must rise: the repo grows from one to the next");
        for order in &self.order {
            let host = Host::open(place).await?;
            let agents = agents::enroll(&host, 1).await?;
            let (mut records, mut smallest) = (0, None);
            for size in &self.sizes {
                say(&format!("filling the repo up to {size} records, keys {}", order.name()));
                let agent = agents.first().context("no agent")?;
                writers::fill(&host, agent, records..*size, self.size, *order).await?;
                records = (*size).max(records);
                let cost = self.measure(&host, &agents, (records, *order), smallest).await?;
                smallest = smallest.or(Some(cost));
                records += self.writes;
            }
        }
        Ok(())
    }

    /// Writes one by one into a repo of so many records.
    async fn measure(
        &self,
        host: &Host,
        agents: &[Agent],
        (records, order): (u64, Order),
        smallest: Option<Cost>,
    ) -> Result<Cost> {
        let signed = writers::sign_keyed(host, agents, records..records + self.writes, self.size, order)?;
        let memory = || host.usage().map(|usage| megabytes(usage.rss_kb));
        let (memory_before, before) = (memory(), host.store().await?);
        let meter = Meter::start(host);
        let start = Instant::now();
        let written = writers::run(host, signed, 1, None).await?;
        let (time, used) = (start.elapsed(), meter.stop());
        let after = host.store().await?;
        let times = Spread::of(written.iter().map(Written::time).collect());
        let each = |count: fn(StoreCounts) -> Option<u64>| {
            Some(per(real(count(after)?.checked_sub(count(before)?)?), self.writes))
        };
        let cost = Cost {
            cpu_us: used.server_us_per(self.writes),
            rows: each(|store| store.rows),
            log_bytes: each(|store| store.log_bytes),
            stored_bytes: used.stored.map(|bytes| per(real(bytes), self.writes)),
        };
        let per_s = rate(self.writes, time);
        print(
            &json!({
                "scenario": "grow", "order": order.name(), "records": records, "writes": self.writes,
                "written_per_s": round(per_s), "time": times.json(), "per_write": cost.json(),
                "of_smallest": smallest.map(|smallest| cost.over(smallest).json()),
                "server_mb_before": memory_before, "server_mb_after": memory(), "used": used.json(),
            }),
            &format!(
                "{records} records, keys {}: a write takes {} us of CPU, {} rows, {} bytes of log, {} bytes of storage; {per_s:.0}/s",
                order.name(),
                or_unknown(cost.cpu_us),
                or_unknown(cost.rows),
                or_unknown(cost.log_bytes),
                or_unknown(cost.stored_bytes),
            ),
        );
        Ok(cost)
    }
}

impl Cost {
    /// How many times another.
    fn over(self, other: Self) -> Self {
        let ratio = |this: Option<f64>, other: Option<f64>| {
            this.zip(other).filter(|(_, other)| *other > 0.0).map(|(this, other)| this / other)
        };
        Self {
            cpu_us: ratio(self.cpu_us, other.cpu_us),
            rows: ratio(self.rows, other.rows),
            log_bytes: ratio(self.log_bytes, other.log_bytes),
            stored_bytes: ratio(self.stored_bytes, other.stored_bytes),
        }
    }

    fn json(self) -> Value {
        json!({
            "cpu_us": self.cpu_us.map(round), "rows": self.rows.map(round),
            "log_bytes": self.log_bytes.map(round), "stored_bytes": self.stored_bytes.map(round),
        })
    }
}
