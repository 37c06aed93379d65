//! Live: agents write, and everybody who is subscribed gets every event.

use crate::agents::{self, Agent};
use crate::figures::{Meter, Spread, megabytes, or_unknown, print, rate, real, round};
use crate::floor;
use crate::host::Host;
use crate::progress::{Progress, say};
use crate::subscriber::{Got, Subscription, Until};
use crate::writers::{self, Written};
use anyhow::{Result, bail};
use clap::Parser;
use futures_util::future::try_join_all;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Subscriptions that are opened at a time.
const AT_ONCE: usize = 50;
/// Readers that look into what they get, at most.
const LOOKING: usize = 10;
/// Silence after which a run is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Live events to many subscribers
#[derive(Debug, Parser)]
pub(crate) struct Firehose {
    /// How many subscribe; one run for each number
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    subscribers: Vec<usize>,
    /// Events of each run
    #[arg(long, default_value_t = 5_000)]
    events: u64,
    /// Agents that write at the same time
    #[arg(long, default_value_t = 16)]
    agents: usize,
    /// Events a second; without it as fast as they are taken
    #[arg(long)]
    rate: Option<f64>,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

/// What all readers got together.
struct Delivered {
    frames: u64,
    bytes: u64,
    last: Instant,
    out_of_order: u64,
    commits: Vec<(String, Instant)>,
}

impl Firehose {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let agents = agents::enroll(host, self.agents).await?;
        for subscribers in &self.subscribers {
            self.run_with(host, &agents, *subscribers).await?;
        }
        Ok(())
    }

    async fn run_with(&self, host: &Host, agents: &[Agent], subscribers: usize) -> Result<()> {
        let signed = writers::sign(host, agents, self.events, self.size)?;
        let readers = u64::try_from(subscribers)?;
        let total = self.events * readers;
        let progress = Progress::start("events delivered", total);
        let mut reading = self.subscribe(host, subscribers, &progress).await?;
        let idle_mb = host.usage().map(|usage| megabytes(usage.rss_kb));

        let commits_before = host.store().await?.commits;
        let meter = Meter::start(host);
        let start = Instant::now();
        let written = writers::run(host, signed, self.agents, self.rate).await?;
        let writing = start.elapsed();
        let got = collect(&mut reading, &progress, start).await?;
        let used = meter.stop();
        drop(progress);
        if got.frames != total {
            bail!("{} of {total} events were delivered: is somebody else using the server?", got.frames);
        }
        let (from_request, from_answer) = lags(&written, &got);
        let writes = Spread::of(written.iter().map(Written::time).collect());
        // The time between two group commits; paced, they wait for the writes.
        let commits =
            host.store().await?.commits.zip(commits_before).map(|(now, before)| now.saturating_sub(before));
        let group_ms = commits
            .filter(|commits| *commits > 0 && self.rate.is_none())
            .map(|commits| writing.as_secs_f64() * 1e3 / real(commits));

        let frame = usize::try_from(got.bytes / got.frames.max(1))?;
        say("the floor: the same bytes over plain sockets");
        let floor = floor::tcp(subscribers, frame, self.events).await?;
        let delivering = got.last.saturating_duration_since(start);
        let (delivered, bare) = (rate(total, delivering), rate(total, floor));
        let cpu = used.server_us_per(total);
        print(
            &json!({
                "scenario": "firehose", "subscribers": subscribers, "events": self.events, "agents": self.agents,
                "paced": self.rate, "frame_bytes": frame,
                "written_per_s": round(rate(self.events, writing)),
                "delivered_per_s": round(delivered),
                "delivered_mb_per_s": round(real(got.bytes) / 1e6 / delivering.as_secs_f64()),
                "lag_from_request": from_request.json(), "lag_from_answer": from_answer.json(),
                "write": writes.json(), "group_commit_ms": group_ms.map(round),
                "lag_p99_in_writes": (writes.p50_ms > 0.0).then(|| round(from_request.p99_ms / writes.p50_ms)),
                "lag_p99_in_group_commits": group_ms.map(|group| round(from_request.p99_ms / group)),
                "out_of_order": got.out_of_order,
                "server_cpu_us_per_delivery": cpu,
                "server_cpu_us_per_event": used.server_us_per(self.events),
                "server_idle_mb": idle_mb, "used": used.json(),
                "floor_delivered_per_s": round(bare), "of_floor": round(delivered / bare),
            }),
            &format!(
                "firehose, {subscribers} subscribers: {:.0} events/s written, {delivered:.0} deliveries/s ({:.0} % of plain \
                 sockets), lag p50 {} ms, p99 {} ms (a write: p50 {} ms; between group commits: {} ms), {} us of CPU a delivery, \
                 {} MB",
                rate(self.events, writing),
                100.0 * delivered / bare,
                from_request.p50_ms,
                from_request.p99_ms,
                writes.p50_ms,
                or_unknown(group_ms),
                or_unknown(cpu),
                or_unknown(used.rss_mb),
            ),
        );
        Ok(())
    }

    /// Opens the subscriptions; each is read from then on.
    async fn subscribe(&self, host: &Host, subscribers: usize, progress: &Progress) -> Result<JoinSet<Got>> {
        let mut reading = JoinSet::new();
        let every = subscribers.div_ceil(LOOKING).max(1);
        while reading.len() < subscribers {
            let count = AT_ONCE.min(subscribers - reading.len());
            for subscription in try_join_all((0..count).map(|_| Subscription::open(host, None))).await? {
                let looking = reading.len() % every == 0;
                reading.spawn(subscription.read(Until::Frames(self.events), looking, progress.counter()));
            }
        }
        Ok(reading)
    }
}

/// Waits until all have what they want. Gives up when nothing comes any more.
async fn collect(reading: &mut JoinSet<Got>, progress: &Progress, start: Instant) -> Result<Delivered> {
    let mut all = Delivered { frames: 0, bytes: 0, last: start, out_of_order: 0, commits: Vec::new() };
    let counter = progress.counter();
    let mut before = counter.load(Ordering::Relaxed);
    while !reading.is_empty() {
        let Ok(next) = timeout(SILENCE, reading.join_next()).await else {
            let now = counter.load(Ordering::Relaxed);
            if now == before {
                bail!("nothing was delivered for {} s; {now} events were", SILENCE.as_secs());
            }
            before = now;
            continue;
        };
        let Some(got) = next.transpose()? else { break };
        if let Some(cut) = got.cut {
            bail!("a subscriber was cut off after {} events: {cut}", got.frames);
        }
        all.frames += got.frames;
        all.bytes += got.bytes;
        all.out_of_order += got.out_of_order;
        all.last = all.last.max(got.last.unwrap_or(start));
        all.commits.extend(got.commits);
    }
    Ok(all)
}

/// From a request to the event, and from its answer to the event (0 where the event was faster).
fn lags(written: &[Written], got: &Delivered) -> (Spread, Spread) {
    let by_rev: HashMap<&str, &Written> = written.iter().map(|write| (write.value.as_str(), write)).collect();
    let found = || got.commits.iter().filter_map(|(rev, at)| Some((by_rev.get(rev.as_str())?, *at)));
    (
        Spread::of(found().map(|(write, at)| at.saturating_duration_since(write.sent)).collect()),
        Spread::of(found().map(|(write, at)| at.saturating_duration_since(write.answered)).collect()),
    )
}
