//! Closing a connection without cutting off the answer.
//!
//! When a socket is closed while bytes that the client has sent are unread, the client's end is reset, and the answer it was
//! just given (a 413 that came before the whole body) may be lost with it (RFC 9112, section 9.6). So the writing half is
//! closed first, and what still comes is thrown away until the client has closed too, within bounds.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long the client may take to see the answer and close.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is thrown away, in bytes.
const MOST: usize = 16 * 1024 * 1024;
const CHUNK: usize = 16 * 1024;

/// A connection that is closed in two steps.
pub(super) struct Lingering<S> {
    stream: S,
    /// Once the writing half is closed: until when, and how much more is thrown away.
    closing: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Lingering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, closing: None }
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    /// Throws away what comes, until it ends or is too much or too late.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((end, left)) = &mut self.closing else { return Poll::Ready(()) };
        let mut chunk = [0; CHUNK];
        while *left > 0 && end.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            match buffer.filled().len() {
                0 => break,
                _ if read.is_err() => break,
                length => *left = left.saturating_sub(length),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.closing = Some((Box::pin(sleep(PATIENCE)), MOST));
        }
        ready!(this.poll_drain(cx));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_still_comes_is_read_until_the_other_end_closes() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Lingering::new(near);
        let closing = async {
            near.write_all(b"answer").await.unwrap();
            near.shutdown().await.unwrap();
        };
        let client = async {
            // More than fits: the other end must be reading.
            far.write_all(&[0; 1000]).await.unwrap();
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.unwrap();
            drop(far);
            answer
        };
        let ((), answer) = tokio::join!(closing, client);
        assert_eq!(answer, "answer");
    }
}
