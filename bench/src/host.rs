//! The server under load: started here, or found at a URL.

use crate::process::{Usage, usage};
use crate::started::{End, Started};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rookery_testkit::Target;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Which server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// Start this program with `serve` on a data directory of its own, which is removed afterwards
    #[arg(long, value_name = "PROGRAM", conflicts_with = "url")]
    serve: Option<PathBuf>,
    /// Use the server at this origin (plain http, on this machine)
    #[arg(long)]
    url: Option<String>,
    /// Its process, to read processor time and memory of
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// It has accounts with passwords and sessions, not WelcomeMat: another PDS, to compare with
    #[arg(long, requires = "url")]
    sessions: bool,
    /// Where the data directory and the file of the fsync floor go [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A server.
pub(crate) struct Host {
    pub(crate) target: Target,
    pid: Option<u32>,
    sessions: bool,
    /// A directory on the disk to measure.
    dir: PathBuf,
    started: Option<Started>,
    /// From its start to its first answer, where it was started here.
    pub(crate) start_up: Option<Duration>,
}

/// What the store says it has done since the server started; none where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreCounts {
    /// Group commits: fsyncs.
    pub(crate) commits: Option<u64>,
    /// Rows that were inserted, updated or deleted.
    pub(crate) rows: Option<u64>,
    /// Bytes that went into the write-ahead log.
    pub(crate) log_bytes: Option<u64>,
}

/// Sends requests, one after the other.
pub(crate) type Http = SendRequest<Full<Bytes>>;

impl Host {
    /// Starts it, or looks whether it is there.
    pub(crate) async fn open(place: &Where) -> Result<Self> {
        let dir = place.dir.clone().unwrap_or_else(std::env::temp_dir);
        match (&place.serve, &place.url) {
            (Some(program), _) => Self::of(Started::new(program, &dir)?, dir).await,
            (None, Some(url)) => {
                let (target, pid) = (Target::new(url), place.pid);
                let host = Self { target, pid, sessions: place.sessions, dir, started: None, start_up: None };
                host.health().await?;
                Ok(host)
            }
            (None, None) => {
                bail!("name a server: --serve target/release/rookery, or --url of one that is there")
            }
        }
    }

    /// Ends the server and starts it again on the same data, at another port.
    pub(crate) async fn restart(mut self, end: End) -> Result<Self> {
        let mut started =
            self.started.take().context("only a server that is started here can be started again")?;
        started.restart(end)?;
        Self::of(started, self.dir).await
    }

    async fn of(started: Started, dir: PathBuf) -> Result<Self> {
        let (target, pid) = (Target::new(&started.url), Some(started.pid()));
        let since = started.since;
        let mut host = Self { target, pid, sessions: false, dir, started: Some(started), start_up: None };
        host.health().await?;
        host.start_up = Some(Instant::now().saturating_duration_since(since));
        Ok(host)
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        connect(self.target.authority()).await
    }

    /// An HTTP/1.1 connection of its own.
    pub(crate) async fn http(&self) -> Result<Http> {
        connect_http(self.target.authority()).await
    }

    /// What it has used, where that can be read.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.pid.and_then(usage)
    }

    /// What its store counted.
    pub(crate) async fn store(&self) -> Result<StoreCounts> {
        Ok(StoreCounts::of(&self.health().await?))
    }

    /// Where the disk is measured.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory with its data, where it was started here.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.started.as_ref().map(Started::data)
    }

    /// Whether accounts have sessions instead of keys.
    pub(crate) fn has_sessions(&self) -> bool {
        self.sessions
    }

    async fn health(&self) -> Result<Value> {
        let url = &self.target.url;
        let answer = self.target.try_send("GET", &format!("{url}/xrpc/_health"), &[], Bytes::new()).await;
        let answer = answer.with_context(|| format!("no server answers at {url}"))?;
        serde_json::from_slice(&answer.body).with_context(|| format!("{url} is no PDS"))
    }
}

impl StoreCounts {
    fn of(health: &Value) -> Self {
        let count = |name: &str| health.pointer(&format!("/store/{name}")).and_then(Value::as_u64);
        Self { commits: count("commits"), rows: count("rows"), log_bytes: count("logBytes") }
    }
}

/// A connection.
pub(crate) async fn connect(authority: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(authority).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection that speaks HTTP/1.1.
pub(crate) async fn connect_http(authority: &str) -> Result<Http> {
    let (sender, connection) = handshake(TokioIo::new(connect(authority).await?)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_of_the_store_are_read_where_they_are_told() {
        let health =
            json!({"version": "1", "store": {"commits": 3, "jobs": 8, "rows": 40, "logBytes": 98_304}});
        let counts = StoreCounts { commits: Some(3), rows: Some(40), log_bytes: Some(98_304) };
        assert_eq!(StoreCounts::of(&health), counts);
        assert_eq!(StoreCounts::of(&json!({"version": "1"})), StoreCounts::default());
    }
}
