//! The server under load: started here, or found at a URL.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use hyper_util::rt::TokioIo;
use rookery_testkit::Target;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Connections that the server is told to take at a time.
const SUBSCRIBERS: &str = "20000";
/// USER_HZ, which Linux fixes at 100 for programs.
const TICK: Duration = Duration::from_millis(10);

/// Which server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// Start this program with `serve` on a data directory of its own, which is removed afterwards
    #[arg(long, value_name = "PROGRAM", conflicts_with = "url", required_unless_present = "url")]
    serve: Option<PathBuf>,
    /// Use the server at this origin (plain http, on this machine)
    #[arg(long)]
    url: Option<String>,
    /// Its process, to read processor time and memory of
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Where the data directory and the file of the fsync floor go [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A server.
pub(crate) struct Host {
    pub(crate) target: Target,
    pid: Option<u32>,
    /// A directory on the disk to measure.
    dir: PathBuf,
    started: Option<Started>,
}

/// A server that this process started; ended when dropped, before its directory is removed.
struct Started {
    child: Child,
    _dir: TempDir,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// On all processors, in user mode and in the kernel.
    pub(crate) cpu: Duration,
    /// Memory now, in kilobytes.
    pub(crate) rss_kb: u64,
    /// The most memory at any time, in kilobytes.
    pub(crate) peak_kb: u64,
}

impl Host {
    /// Starts it, or looks whether it is there.
    pub(crate) async fn open(place: &Where) -> Result<Self> {
        let dir = place.dir.clone().unwrap_or_else(std::env::temp_dir);
        let (url, pid, started) = match (&place.serve, &place.url) {
            (Some(program), _) => {
                let (started, url) = start(program, &dir)?;
                (url, Some(started.child.id()), Some(started))
            }
            (None, Some(url)) => (url.clone(), place.pid, None),
            (None, None) => bail!("either --serve or --url is needed"),
        };
        let host = Self { target: Target::new(&url), pid, dir, started };
        let health = format!("{url}/xrpc/_health");
        let answer = host.target.try_send("GET", &health, &[], Bytes::new()).await;
        answer.with_context(|| format!("no server answers at {url}"))?;
        Ok(host)
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.target.authority()).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// An HTTP/1.1 connection of its own.
    pub(crate) async fn http(&self) -> Result<Http> {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// What it has used, where that can be read.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.pid.and_then(usage)
    }

    /// Where the disk is measured.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Sends requests, one after the other.
pub(crate) type Http = hyper::client::conn::http1::SendRequest<http_body_util::Full<Bytes>>;

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(started) = &mut self.started {
            // It may have ended already.
            let _ = started.child.kill();
            let _ = started.child.wait();
        }
    }
}

fn start(program: &Path, dir: &Path) -> Result<(Started, String)> {
    let dir = TempDir::with_prefix_in("rookery-bench-", dir).context("cannot make a data directory")?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(name);
        }
    }
    command
        .env("ROOKERY_RATE_LIMITS", "off")
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--subscribers", SUBSCRIBERS])
        .args(["--subscriber-lag", "100000000", "--data-dir"])
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let stdout = child.stdout.take().context("no stdout")?;
    let started = Started { child, _dir: dir };
    // The banner names the URL.
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let port = line.trim().strip_prefix("url").and_then(|url| url.rsplit(':').next());
        if let Some(port) = port.and_then(|port| port.trim().parse::<u16>().ok()) {
            return Ok((started, format!("http://127.0.0.1:{port}")));
        }
    }
    bail!("{} ended before it was ready", program.display())
}

/// From `/proc`; none on other systems.
fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the parenthesis may hold anything. utime and stime are the 14th and 15th fields.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u32 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Usage { cpu: TICK * ticks, rss_kb: kilobytes("VmRSS:")?, peak_kb: kilobytes("VmHWM:")? })
}

/// What this process has used.
pub(crate) fn own_usage() -> Option<Usage> {
    usage(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn processor_time_and_memory_of_a_process_can_be_read() {
        let before = own_usage().unwrap();
        assert!(before.rss_kb > 0 && before.peak_kb >= before.rss_kb, "{before:?}");
        while own_usage().unwrap().cpu < before.cpu + TICK {}
        assert!(usage(0).is_none());
    }
}
