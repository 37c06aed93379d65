//! A whole repo as CAR.

use crate::agents;
use crate::figures::{Meter, megabytes, print, real, round};
use crate::floor;
use crate::host::Host;
use crate::progress::say;
use crate::writers::{self, Order};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use std::time::{Duration, Instant};

/// Bytes in one piece of the floor.
const PIECE: usize = 64 * 1024;

/// `getRepo` of a large repo
#[derive(Debug, Parser)]
pub(crate) struct Export {
    /// Records in the repo
    #[arg(long, default_value_t = 50_000)]
    records: u64,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// How often it is exported; the fastest counts
    #[arg(long, default_value_t = 3)]
    times: u32,
}

impl Export {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let agents = agents::enroll(host, 1).await?;
        let agent = agents.first().context("no agent")?;
        writers::fill(host, agent, 0..self.records, self.size, Order::Append).await?;
        let before_mb = host.usage().map(|usage| megabytes(usage.peak_kb));
        let meter = Meter::start(host);
        let (mut best, mut bytes) = (Duration::MAX, 0);
        for _ in 0..self.times {
            let start = Instant::now();
            bytes = download(host, agent.did()).await?;
            best = best.min(start.elapsed());
        }
        let used = meter.stop();
        say("the floor: the same bytes over a plain socket");
        let floor = floor::tcp(1, PIECE, bytes.div_ceil(u64::try_from(PIECE)?)).await?;
        let mb = real(bytes) / 1e6;
        let (mb_per_s, floor_mb_per_s) = (mb / best.as_secs_f64(), mb / floor.as_secs_f64());
        print(
            &json!({
                "scenario": "export", "records": self.records, "mb": round(mb), "mb_per_s": round(mb_per_s),
                "server_peak_mb_before": before_mb, "used": used.json(),
                "floor_mb_per_s": round(floor_mb_per_s), "of_floor": round(mb_per_s / floor_mb_per_s),
            }),
            &format!(
                "export of {} records, {mb:.1} MB: {mb_per_s:.0} MB/s (a plain socket {floor_mb_per_s:.0} MB/s)",
                self.records
            ),
        );
        Ok(())
    }
}

/// How many bytes there are.
async fn download(host: &Host, did: &str) -> Result<u64> {
    let mut http = host.http().await?;
    let request = Request::get(format!("/xrpc/com.atproto.sync.getRepo?did={did}"))
        .header(header::HOST, host.target.authority())
        .body(Full::new(Bytes::new()))?;
    let response = http.send_request(request).await?;
    ensure!(response.status() == 200, "getRepo answered {}", response.status());
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
    }
    Ok(bytes)
}
