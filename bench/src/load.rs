//! Requests over some connections, each request timed.

use crate::host::{Http, connect_http};
use crate::progress::Progress;
use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::{Instant as Due, sleep_until};

/// A request that is ready to be sent.
pub(crate) type Request = http::Request<Full<Bytes>>;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answered<T> {
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    /// What was taken from the body.
    pub(crate) value: T,
}

impl<T> Answered<T> {
    pub(crate) fn time(&self) -> Duration {
        self.answered.saturating_duration_since(self.sent)
    }
}

/// Sends the requests over so many connections, which take them in turn, and each one after the other: at full speed, or `rate` a
/// second for all together. Answers come in the order of the requests; any that is not 200 ends it.
pub(crate) async fn run<T: Send + 'static>(
    authority: &str,
    what: &str,
    requests: Vec<Request>,
    connections: usize,
    rate: Option<f64>,
    take: fn(&Bytes) -> Result<T>,
) -> Result<Vec<Answered<T>>> {
    ensure!(connections > 0, "without connections nothing is sent");
    let total = requests.len();
    let progress = Progress::start(what, u64::try_from(total)?);
    let gap = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    let open = try_join_all((0..connections).map(|_| connect_http(authority))).await?;
    let mut dealt: Vec<Vec<(u32, Request)>> = (0..connections).map(|_| Vec::new()).collect();
    for (turn, (hand, request)) in (0..connections).cycle().zip(requests).enumerate() {
        if let Some(hand) = dealt.get_mut(hand) {
            hand.push((u32::try_from(turn)?, request));
        }
    }
    let start = Due::now();
    let tasks = dealt.into_iter().zip(open).map(|(requests, mut http)| {
        let counter = progress.counter();
        tokio::spawn(async move {
            let mut answers = Vec::with_capacity(requests.len());
            for (turn, request) in requests {
                if let Some(gap) = gap {
                    sleep_until(start + gap * turn).await;
                }
                answers.push((turn, send(&mut http, request, take).await?));
                counter.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(answers)
        })
    });
    let mut all = Vec::with_capacity(total);
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await??);
    }
    all.sort_unstable_by_key(|(turn, _)| *turn);
    Ok(all.into_iter().map(|(_, answer)| answer).collect())
}

/// Sends one.
pub(crate) async fn send<T>(
    http: &mut Http,
    request: Request,
    take: fn(&Bytes) -> Result<T>,
) -> Result<Answered<T>> {
    let sent = Instant::now();
    http.ready().await?;
    let response = http.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let answered = Instant::now();
    ensure!(status == 200, "a request was answered with {status}: {}", String::from_utf8_lossy(&body));
    Ok(Answered { sent, answered, value: take(&body)? })
}

/// How many bytes there were.
pub(crate) fn length(body: &Bytes) -> Result<usize> {
    Ok(body.len())
}
