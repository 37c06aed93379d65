//! One connection: what it is sent, and when it is let go.
//!
//! It is let go when it leaves; when it is too far behind; when it takes what it is sent too slowly, since that is held in
//! memory meanwhile, and all the sooner when others wait for that memory; when it does not answer a ping; and when the
//! server stops.

use super::Firehose;
use super::recent::{self, Shared, Taken};
use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use rookery_pds::sequencer::{Ends, Start, Subscriber};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_websockets::{CloseCode, Config, Limits, Message, ServerBuilder, WebSocketStream};

/// Bytes that one subscriber is handed at once. A single frame may be more.
const BATCH: usize = 64 * 1024;
/// How long it may take for them, and for each further [`SLOWEST`] bytes of a large frame one second more.
const PATIENCE: Duration = Duration::from_secs(60);
const SLOWEST: usize = 16 * 1024;
/// How long, and how fast, when others wait for the memory that they hold.
const HASTE: Duration = Duration::from_secs(1);
const SLOWEST_IN_HASTE: usize = 512 * 1024;
/// A batch that took this long was waiting for the other end, which so has shown that it is there.
const WAITED: Duration = Duration::from_secs(1);
/// How often a ping goes out, and how long nothing may come back.
const PING: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(100);
/// Subscribers have nothing to say: the largest message that is read and thrown away.
const INCOMING: usize = 4096;
/// How long the other end may take to close too.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends events until one of both ends has had enough.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(firehose: &Firehose, stream: S, start: Start) {
    let socket = ServerBuilder::new()
        .limits(Limits::default().max_payload_len(Some(INCOMING)))
        .config(Config::default().flush_threshold(BATCH).frame_size(usize::MAX))
        .serve(stream);
    let mut connection = Connection { firehose, socket, heard: Instant::now() };
    let ended = match start {
        Start::Refused(frame) => Ok(End::Told(frame)),
        Start::From(subscriber, notice) => connection.run(subscriber, notice).await,
    };
    match ended {
        Ok(End::Told(frame)) => connection.close(Some(frame), CloseCode::POLICY_VIOLATION).await,
        Ok(End::Stopping) => connection.close(None, CloseCode::GOING_AWAY).await,
        Ok(End::Left) => {}
        Err(error) => tracing::debug!(%error, "a subscriber was let go"),
    }
}

/// Why a subscription ended.
enum End {
    /// It closed the connection.
    Left,
    /// It is sent this error first.
    Told(Vec<u8>),
    /// The server stops.
    Stopping,
}

/// What happens next.
enum Next {
    Frames(Vec<Shared>, Ends),
    Message(Option<Message>),
    Tick,
    Stop,
}

struct Connection<'a, S> {
    firehose: &'a Firehose,
    socket: WebSocketStream<S>,
    /// When the other end last showed that it is there.
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self, mut subscriber: Subscriber, notice: Option<Vec<u8>>) -> Result<End> {
        let mut news = self.firehose.recent.watch();
        let mut stopping = self.firehose.stopping.subscribe();
        if *stopping.borrow() {
            return Ok(End::Stopping);
        }
        let mut ticks = interval_at(Instant::now() + PING, PING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = notice.is_some();
        if let Some(frame) = notice {
            self.send_one(Message::binary(frame)).await?;
        }
        loop {
            let next = tokio::select! {
                biased;
                _ = stopping.changed() => Next::Stop,
                _ = ticks.tick() => Next::Tick,
                message = self.socket.next() => Next::Message(message.transpose()?),
                frames = upcoming(self.firehose, subscriber.at().seq, &mut news) => {
                    let (frames, ends) = frames?;
                    Next::Frames(frames, ends)
                }
            };
            match next {
                Next::Stop => return Ok(End::Stopping),
                Next::Message(None) => return Ok(End::Left),
                Next::Message(Some(message)) if message.is_close() => {
                    // The library has queued the answer.
                    let _ = timeout(FAREWELL, self.socket.flush()).await;
                    return Ok(End::Left);
                }
                Next::Message(Some(_)) => {
                    self.heard = Instant::now();
                    // A ping has its pong queued. It goes out before the next one is read, so that they do not pile up.
                    timeout(PATIENCE, self.socket.flush()).await.context("it took no pong")??;
                }
                Next::Tick if self.heard.elapsed() > SILENCE => bail!("it did not answer"),
                Next::Tick => self.send_one(Message::ping("")).await?,
                Next::Frames(frames, ends) => {
                    // Forgotten between the handshake and now: what was read may have a gap before it.
                    if let Some(notice) = subscriber.outdated(ends) {
                        if !told {
                            self.send_one(Message::binary(notice)).await?;
                        }
                        told = true;
                        continue;
                    }
                    if let Some(frame) = subscriber.too_slow(ends) {
                        return Ok(End::Told(frame));
                    }
                    if let Some(last) = frames.last() {
                        let to = last.position;
                        self.send(frames).await?;
                        subscriber.advance(to, ends);
                    }
                }
            }
        }
    }

    /// Hands over a batch.
    async fn send(&mut self, frames: Vec<Shared>) -> Result<()> {
        let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        let seconds = |speed| u64::try_from(bytes.saturating_sub(BATCH) / speed).unwrap_or(u64::MAX);
        let patience = PATIENCE + Duration::from_secs(seconds(SLOWEST));
        let haste = HASTE + Duration::from_secs(seconds(SLOWEST_IN_HASTE));
        let start = Instant::now();
        let recent = &self.firehose.recent;
        let scarce = async {
            sleep(haste).await;
            recent.scarce().await;
        };
        let all = async {
            for frame in frames {
                self.socket.feed(Message::binary(frame.bytes)).await?;
            }
            self.socket.flush().await
        };
        tokio::select! {
            biased;
            sent = timeout(patience, all) => sent.map_err(|_| anyhow!("it reads too slowly"))??,
            () = scarce => bail!("it reads slowly, and others wait for the memory that it holds"),
        }
        if start.elapsed() > WAITED {
            self.heard = Instant::now();
        }
        Ok(())
    }

    async fn send_one(&mut self, message: Message) -> Result<()> {
        Ok(timeout(PATIENCE, self.socket.send(message)).await.context("it takes nothing")??)
    }

    /// Says why, and waits a moment for the other end to close too, so that the last frame is not lost with the connection.
    async fn close(mut self, frame: Option<Vec<u8>>, code: CloseCode) {
        let farewell = async {
            if let Some(frame) = frame {
                self.socket.feed(Message::binary(frame)).await?;
            }
            self.socket.send(Message::close(Some(code), "")).await?;
            while self.socket.next().await.transpose()?.is_some() {}
            Ok::<_, tokio_websockets::Error>(())
        };
        if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
            tracing::trace!("a subscriber did not take its leave");
        }
    }
}

/// What comes after the event `seq`: from memory, else from the log, else as soon as there is something. An empty batch
/// only tells where the log is.
async fn upcoming(
    firehose: &Firehose,
    seq: i64,
    news: &mut watch::Receiver<Ends>,
) -> Result<(Vec<Shared>, Ends)> {
    loop {
        let ends = *news.borrow_and_update();
        match firehose.recent.take(seq, BATCH) {
            Taken::Frames(frames) if !frames.is_empty() => return Ok((frames, ends)),
            Taken::Frames(_) => {}
            Taken::InTheLog => {
                let (frames, ends) = page(firehose, seq).await?;
                // Also when there is nothing to send: the floor may have moved past this subscriber.
                if !frames.is_empty() || ends.floor > seq {
                    return Ok((frames, ends));
                }
            }
        }
        news.changed().await.context("the log has ended")?;
    }
}

/// A page of the log, with its piece of the budget.
async fn page(firehose: &Firehose, seq: i64) -> Result<(Vec<Shared>, Ends)> {
    let mut most = BATCH;
    loop {
        let permit = firehose.recent.reserve(most).await?;
        let page = firehose.app.log.events(seq, most).await?;
        match page.next.filter(|_| page.frames.is_empty()) {
            Some(needed) => most = needed,
            None => return Ok((recent::page(page.frames, permit), page.ends)),
        }
    }
}
