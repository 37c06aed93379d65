//! From the beginning of the log to its end, as fast as it comes.

use crate::agents;
use crate::figures::{Meter, print, rate, real, round};
use crate::floor;
use crate::host::Host;
use crate::progress::{Progress, say};
use crate::subscriber::{Subscription, Until};
use crate::writers;
use anyhow::{Context, Result, bail};
use clap::Parser;
use futures_util::future::try_join_all;
use serde_json::json;
use std::time::Instant;

/// Bytes in one piece of the floor.
const PIECE: usize = 64 * 1024;

/// The event log, read back from cursor 0
#[derive(Debug, Parser)]
pub(crate) struct Backfill {
    /// Events that are written first
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// How many read them back at the same time; one run for each number
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    subscribers: Vec<usize>,
    /// Agents that write the events
    #[arg(long, default_value_t = 16)]
    agents: usize,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

impl Backfill {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let agents = agents::enroll(host, self.agents).await?;
        let signed = writers::sign(host, &agents, self.events, self.size)?;
        let written = writers::run(host, signed, self.agents, None).await?;
        let last = written.into_iter().map(|write| write.value).max().context("nothing was written")?;

        // Revs are in order for each account only: a few events may come after this one, and are left out.
        let progress = Progress::start("events looked at", self.events);
        let look = Subscription::open(host, Some(0)).await?;
        let whole = look.read(Until::Rev(last), true, progress.counter()).await;
        drop(progress);
        if let Some(cut) = whole.cut {
            bail!("the log cannot be read back: {cut}");
        }
        for subscribers in &self.subscribers {
            self.read_back(host, *subscribers, whole.frames, whole.bytes, whole.out_of_order).await?;
        }
        Ok(())
    }

    async fn read_back(
        &self,
        host: &Host,
        subscribers: usize,
        frames: u64,
        bytes: u64,
        out_of_order: u64,
    ) -> Result<()> {
        let readers = u64::try_from(subscribers)?;
        let progress = Progress::start("events read back", frames * readers);
        let meter = Meter::start(host);
        let start = Instant::now();
        let reading = (0..subscribers).map(|_| async {
            let subscription = Subscription::open(host, Some(0)).await?;
            let read = subscription.read(Until::Frames(frames), false, progress.counter());
            anyhow::Ok(tokio::spawn(read).await?)
        });
        let got = try_join_all(reading).await?;
        let used = meter.stop();
        drop(progress);
        if let Some(cut) = got.iter().find_map(|got| got.cut.as_deref()) {
            bail!("a subscriber was cut off: {cut}");
        }
        let last = got.iter().filter_map(|got| got.last).max().context("nothing was read")?;
        let time = last.saturating_duration_since(start);

        say("the floor: the same bytes over plain sockets");
        let floor = floor::tcp(subscribers, PIECE, bytes.div_ceil(u64::try_from(PIECE)?)).await?;
        let (events_per_s, mb) = (rate(frames * readers, time), real(bytes * readers) / 1e6);
        let (mb_per_s, floor_mb_per_s) = (mb / time.as_secs_f64(), mb / floor.as_secs_f64());
        print(
            &json!({
                "scenario": "backfill", "subscribers": subscribers, "events": frames, "mb": round(mb),
                "events_per_s": round(events_per_s), "mb_per_s": round(mb_per_s), "out_of_order": out_of_order,
                "server_cpu_us_per_delivery": used.server_us_per(frames * readers), "used": used.json(),
                "floor_mb_per_s": round(floor_mb_per_s), "of_floor": round(mb_per_s / floor_mb_per_s),
            }),
            &format!(
                "backfill, {subscribers} subscribers: {events_per_s:.0} events/s, {mb_per_s:.0} MB/s (plain sockets \
                 {floor_mb_per_s:.0} MB/s)"
            ),
        );
        Ok(())
    }
}
