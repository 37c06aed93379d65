//! A server that this process started, on a data directory of its own.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Subscribers that the server is told to take at a time.
const SUBSCRIBERS: &str = "20000";

/// Ended when dropped, before its directory is removed.
pub(crate) struct Started {
    child: Child,
    /// When the program was started.
    pub(crate) since: Instant,
    pub(crate) url: String,
    program: PathBuf,
    data: TempDir,
}

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is asked to stop, and does so in order.
    Terminate,
    /// It is stopped in the middle of its work.
    Kill,
}

impl Started {
    /// Starts the program on an empty directory in `dir`.
    pub(crate) fn new(program: &Path, dir: &Path) -> Result<Self> {
        let data = TempDir::with_prefix_in("rookery-bench-", dir).context("cannot make a data directory")?;
        let since = Instant::now();
        let (child, url) = spawn(program, data.path())?;
        Ok(Self { child, since, url, program: program.to_owned(), data })
    }

    /// Ends it and starts it again on the same data.
    pub(crate) fn restart(&mut self, end: End) -> Result<()> {
        match end {
            End::Terminate => {
                let asked = Command::new("kill").arg(self.child.id().to_string()).status();
                ensure!(asked.context("cannot run `kill`")?.success(), "the server cannot be asked to stop");
            }
            End::Kill => self.child.kill().context("the server cannot be killed")?,
        }
        self.child.wait()?;
        self.since = Instant::now();
        (self.child, self.url) = spawn(&self.program, self.data.path())?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory with its data.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, data: &Path) -> Result<(Child, String)> {
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
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let stdout = child.stdout.take().context("no stdout")?;
    // The banner names the URL.
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let port = line.trim().strip_prefix("url").and_then(|url| url.rsplit(':').next());
        if let Some(port) = port.and_then(|port| port.trim().parse::<u16>().ok()) {
            return Ok((child, format!("http://127.0.0.1:{port}")));
        }
    }
    // Without a banner it has ended, or it is of no use.
    let _ = child.kill();
    let _ = child.wait();
    bail!("{} ended before it was ready", program.display())
}
