//! Many who come at the same moment.

use crate::agents;
use crate::figures::{Meter, Spread, print, rate, round};
use crate::host::Host;
use crate::load;
use crate::progress::say;
use crate::read;
use crate::writers::{self, NOTE, Order};
use anyhow::{Context, Result};
use clap::Parser;
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Silence after which a connection counts as dropped.
const SILENCE: Duration = Duration::from_secs(30);

/// New connections all at once, each with one request
#[derive(Debug, Parser)]
pub(crate) struct Burst {
    /// Connections at once
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// How often
    #[arg(long, default_value_t = 3)]
    times: u32,
}

impl Burst {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let agents = agents::enroll(host, 1).await?;
        let agent = agents.first().context("no agent")?;
        writers::fill(host, agent, 0..1, 200, Order::Random).await?;
        let rkey = writers::random_rkey(0)?;
        let query = format!("getRecord?repo={}&collection={NOTE}&rkey={rkey}", agent.did());
        for number in 1..=self.times {
            self.burst(host, &query, number).await?;
        }
        Ok(())
    }

    async fn burst(&self, host: &Host, query: &str, number: u32) -> Result<()> {
        let meter = Meter::start(host);
        let start = Instant::now();
        let one = || async {
            let request = read::get(host, query)?;
            let started = Instant::now();
            let mut http = host.http().await?;
            load::send(&mut http, request, load::length).await?;
            anyhow::Ok(started.elapsed())
        };
        let outcomes = join_all((0..self.connections).map(|_| timeout(SILENCE, one()))).await;
        let (time, used) = (start.elapsed(), meter.stop());
        let (mut times, mut dropped) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Ok(Ok(time)) => times.push(time),
                Ok(Err(error)) => dropped.push(format!("{error:#}")),
                Err(_) => dropped.push(format!("no answer within {} s", SILENCE.as_secs())),
            }
        }
        if let Some(why) = dropped.first() {
            say(&format!("dropped, for one: {why}"));
        }
        let (answered, spread) = (times.len(), Spread::of(times));
        print(
            &json!({
                "scenario": "burst", "number": number, "connections": self.connections, "answered": answered,
                "dropped": dropped.len(), "why": dropped.first(), "time": spread.json(),
                "answered_per_s": round(rate(u64::try_from(answered)?, time)), "used": used.json(),
            }),
            &format!(
                "a burst of {} connections: {answered} answered, {} dropped, p50 {} ms, p99 {} ms",
                self.connections,
                dropped.len(),
                spread.p50_ms,
                spread.p99_ms
            ),
        );
        Ok(())
    }
}
