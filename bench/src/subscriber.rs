//! Readers of the firehose. Most only count; a few look into what they get.

use crate::host::Host;
use anyhow::{Context, Result};
use futures_util::StreamExt;
use http::Uri;
use rookery_atproto::data::cbor::{CborError, Kind, Reader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, WebSocketStream};

/// Depth of what is skipped in a frame.
const DEPTH: usize = 16;

/// A subscription.
pub(crate) struct Subscription(WebSocketStream<TcpStream>);

/// When a reader has enough.
pub(crate) enum Until {
    /// After so many frames.
    Frames(u64),
    /// After the commit with this rev.
    Rev(String),
}

/// What a reader got.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// When the last of them came.
    pub(crate) last: Option<Instant>,
    /// Revs of commits, and when each came; only where frames are looked into.
    pub(crate) commits: Vec<(String, Instant)>,
    /// Frames with a `seq` that is not above the one before.
    pub(crate) out_of_order: u64,
    /// Why it ended before it had enough.
    pub(crate) cut: Option<String>,
}

impl Subscription {
    /// Subscribes.
    pub(crate) async fn open(host: &Host, cursor: Option<i64>) -> Result<Self> {
        let query = cursor.map_or(String::new(), |cursor| format!("?cursor={cursor}"));
        let url = format!("ws://{}/xrpc/com.atproto.sync.subscribeRepos{query}", host.target.authority());
        let uri: Uri = url.parse()?;
        let (socket, _) = ClientBuilder::from_uri(uri)
            .connect_on(host.connect().await?)
            .await
            .context("the server does not take the subscription")?;
        Ok(Self(socket))
    }

    /// Reads until it has enough, or the server ends it. `looking` decodes every frame; the others are counted.
    pub(crate) async fn read(mut self, until: Until, looking: bool, counter: Arc<AtomicU64>) -> Got {
        let (mut got, mut seq) = (Got::default(), 0);
        loop {
            if matches!(until, Until::Frames(enough) if got.frames >= enough) {
                return got;
            }
            let message = match self.0.next().await {
                Some(Ok(message)) if message.is_binary() => message,
                Some(Ok(message)) if !message.is_close() => continue,
                Some(Err(error)) => return Got { cut: Some(error.to_string()), ..got },
                Some(Ok(_)) | None => return Got { cut: Some("closed by the server".to_owned()), ..got },
            };
            let frame = message.as_payload();
            let now = Instant::now();
            got.frames += 1;
            got.bytes += u64::try_from(frame.len()).unwrap_or(u64::MAX);
            got.last = Some(now);
            counter.fetch_add(1, Ordering::Relaxed);
            if !looking {
                continue;
            }
            match Event::read(frame) {
                Ok(event) => {
                    got.out_of_order += u64::from(event.seq <= seq);
                    seq = event.seq;
                    if let Some(rev) = event.rev {
                        let enough = matches!(&until, Until::Rev(last) if *last == rev);
                        got.commits.push((rev, now));
                        if enough {
                            return got;
                        }
                    }
                }
                Err(error) => return Got { cut: Some(format!("a frame cannot be read: {error}")), ..got },
            }
        }
    }
}

/// What is looked at in a frame.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    seq: i64,
    /// Only of `#commit`.
    rev: Option<String>,
}

impl Event {
    fn read(frame: &[u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(frame);
        let (mut is_commit, mut seq, mut rev) = (false, 0, None);
        let mut key = None;
        for _ in 0..reader.map()? {
            let name = reader.key(key)?;
            match name {
                "t" => is_commit = reader.text()? == "#commit",
                _ => drop(reader.skip(DEPTH)?),
            }
            key = Some(name);
        }
        let mut key = None;
        for _ in 0..reader.map()? {
            let name = reader.key(key)?;
            match name {
                "seq" => seq = reader.int()?,
                "rev" if is_commit && reader.peek()? == Kind::Text => rev = Some(reader.text()?.to_owned()),
                _ => drop(reader.skip(DEPTH)?),
            }
            key = Some(name);
        }
        Ok(Self { seq, rev })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_atproto::data::Cid;
    use rookery_atproto::event::{self, CommitEvent};

    #[test]
    fn seq_and_rev_are_found_in_a_frame() {
        let did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap();
        let rev = "3l4qpjf5xmc2p".parse().unwrap();
        let commit = CommitEvent {
            repo: &did,
            commit: Cid::dag_cbor(b"commit"),
            rev,
            since: None,
            prev_data: None,
            ops: &[],
            blocks: b"blocks",
            time: "2026-01-01T00:00:00.000Z",
        };
        let commit = event::commit(&commit).frame(1_700_000_000_000_000).unwrap();
        let expected = Event { seq: 1_700_000_000_000_000, rev: Some(rev.to_string()) };
        assert_eq!(Event::read(&commit).unwrap(), expected);
        let sync = event::sync(&did, rev, b"blocks", "2026-01-01T00:00:00.000Z").frame(7).unwrap();
        assert_eq!(Event::read(&sync).unwrap(), Event { seq: 7, rev: None });
        assert!(Event::read(&sync[..sync.len() - 1]).is_err());
        let notice = event::info("OutdatedCursor", "old");
        assert_eq!(Event::read(&notice).unwrap().seq, 0);
    }
}
