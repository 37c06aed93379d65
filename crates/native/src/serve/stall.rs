//! Bounds on the other end going quiet in the middle of something.
//!
//! Reading a head is bounded by the HTTP library. This bounds the rest: a body that does not come or trickles ([`Incoming`]), and an
//! answer that nobody takes ([`Outgoing`]). The library also reads while a handler works, to notice that the client has
//! gone; so reads of the connection itself cannot be on a clock.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long the other end may be quiet.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Bytes a second that a body must come with, beyond the quiet that is allowed in all.
const SLOWEST: u64 = 8 * 1024;

/// Bytes of a body that come with the head or right after it. The HTTP library reads them before the next request.
const SMALL: u64 = 8 * 1024;

/// Runs while something waits.
struct Clock {
    limit: Duration,
    /// Made when there is a wait, which for most requests is never.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Passes `outcome` on; fails once it has been pending for too long.
    fn watch<T>(&mut self, outcome: Poll<T>, cx: &mut Context<'_>) -> Result<Poll<T>, io::Error> {
        if outcome.is_ready() {
            self.timer = None;
            return Ok(outcome);
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        match timer.as_mut().poll(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A request's body that fails when it does not come.
struct Incoming {
    body: Body,
    limit: Duration,
    clock: Clock,
    received: u64,
    /// How long it was waited for, in all and now.
    waited: Duration,
    waiting: Option<Instant>,
    rest: Rest,
}

impl Incoming {
    fn new(body: Body, limit: Duration, rest: Rest) -> Self {
        let clock = Clock::new(limit);
        Self { body, limit, clock, received: 0, waited: Duration::ZERO, waiting: None, rest }
    }

    /// Keeps count of the time. Who trickles is quiet most of it: that adds up.
    fn count(&mut self, frame: &Poll<Option<Result<Frame<Bytes>, axum::Error>>>) {
        match frame {
            Poll::Pending if self.waiting.is_none() => {
                self.waiting = Some(Instant::now());
                let allowed = self.limit + Duration::from_secs(self.received / SLOWEST);
                self.clock = Clock::new(allowed.saturating_sub(self.waited).min(self.limit));
            }
            Poll::Pending => {}
            Poll::Ready(frame) => {
                self.waited += self.waiting.take().map(|since| since.elapsed()).unwrap_or_default();
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                let length = data.map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                self.received = self.received.saturating_add(length);
            }
        }
    }
}

/// Whether there is more of a request's body than was read, and than the HTTP library would read by itself.
#[derive(Clone, Default)]
pub(super) struct Rest(Arc<AtomicBool>);

impl Rest {
    /// True for a large body until its end was reached.
    pub(super) fn is_unread(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Release);
    }
}

/// Puts the body of `request` on the clock.
pub(super) fn bounded(request: Request, limit: Duration) -> (Request, Rest) {
    let rest = Rest::default();
    let request = request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        rest.set(body.size_hint().upper().is_none_or(|length| length > SMALL));
        Body::new(Incoming::new(body, limit, rest.clone()))
    });
    (request, rest)
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || this.body.is_end_stream() {
            this.rest.set(false);
        }
        this.count(&frame);
        this.clock.watch(frame, cx).unwrap_or_else(|error| Poll::Ready(Some(Err(axum::Error::new(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that fails when what is written is not taken.
pub(super) struct Outgoing<S> {
    stream: S,
    clock: Clock,
}

impl<S> Outgoing<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, clock: Clock::new(limit) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outgoing<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outgoing<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.clock.watch(written, cx)?
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.clock.watch(written, cx)?
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn a_body_that_does_not_come_fails_and_one_that_comes_passes() {
        let quiet = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let (request, _) = bounded(Request::new(quiet), Duration::ZERO);
        assert!(request.into_body().collect().await.is_err());
        let (request, _) = bounded(Request::new(Body::from("here")), Duration::ZERO);
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "here");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_fails_before_it_is_whole() {
        let limit = Duration::from_secs(60);
        let pieces = |size: usize, pause: u64| {
            Body::from_stream(stream::unfold(0, move |n| async move {
                sleep(Duration::from_secs(pause)).await;
                (n < 20).then(|| (io::Result::Ok(Bytes::from(vec![0; size])), n + 1))
            }))
        };
        let (trickling, _) = bounded(Request::new(pieces(1, 50)), limit);
        assert!(trickling.into_body().collect().await.is_err());
        let enough = usize::try_from(SLOWEST).unwrap() * 50;
        let (slow, _) = bounded(Request::new(pieces(enough, 50)), limit);
        assert_eq!(slow.into_body().collect().await.unwrap().to_bytes().len(), 20 * enough);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_fails() {
        let (near, _far) = tokio::io::duplex(4);
        let mut near = Outgoing::new(near, Duration::ZERO);
        near.write_all(b"1234").await.unwrap();
        let refused = near.write_all(b"5").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
