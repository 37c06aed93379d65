//! A server with much data and nothing to do: what it takes in memory, and how fast it starts.

use crate::agents::{self, Agent};
use crate::cores;
use crate::figures::{megabytes, or_unknown, print, real, round};
use crate::host::{Host, Where};
use crate::keys::Keys;
use crate::load;
use crate::read;
use crate::started::End;
use crate::writers::{self, BATCH, CONNECTIONS, NOTE, Order};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Memory at rest and start-up: empty, with accounts, and after a crash
#[derive(Debug, Parser)]
pub(crate) struct Rest {
    /// Accounts
    #[arg(long, default_value_t = 10_000)]
    accounts: usize,
    /// Records of each
    #[arg(long, default_value_t = 10)]
    records: u64,
    /// Writes before the server is killed, so that its log is full
    #[arg(long, default_value_t = 5_000)]
    writes: u64,
    /// Bytes of text in each record
    #[arg(long, default_value_t = 200)]
    size: usize,
}

/// What a server that has just started takes.
#[derive(Clone, Copy, Debug)]
struct AtRest {
    start_up: Option<Duration>,
    mb: Option<f64>,
    data_bytes: u64,
    log_bytes: u64,
}

impl Rest {
    pub(crate) async fn run(&self, place: &Where) -> Result<()> {
        let host = Host::open(place).await?;
        ensure!(
            host.data().is_some(),
            "only a server that is started here can be started again: use --serve"
        );
        let empty = AtRest::of(&host)?;
        empty.print("empty", 0, None);

        let connections = CONNECTIONS.min(self.accounts);
        let agents = agents::measured(&host, &Keys::es256(), self.accounts, connections).await?.agents;
        self.write(&host, &agents).await?;
        // Started again, so that what the load left in memory and in the log does not count.
        let host = host.restart(End::Terminate).await?;
        let full = AtRest::of(&host)?;
        full.print("full", self.accounts, Some(empty));
        self.read(&host, agents.first().context("no agent")?).await?;
        AtRest::of(&host)?.print("full, one record read", self.accounts, Some(empty));

        // Tokens name the address they are for, and that has changed.
        let writers = agents::enroll(&host, CONNECTIONS).await?;
        let signed = writers::sign(&host, &writers, self.writes, self.size)?;
        writers::run(&host, signed, CONNECTIONS, None).await?;
        // What it will find: starting may already take from it.
        let log = host.data().map(log_bytes).transpose()?.unwrap_or_default();
        let host = host.restart(End::Kill).await?;
        let crashed = AtRest { log_bytes: log, ..AtRest::of(&host)? };
        crashed.print("after a crash", self.accounts + CONNECTIONS, Some(empty));
        Ok(())
    }

    /// The records of every account, as few commits as there may be.
    async fn write(&self, host: &Host, agents: &[Agent]) -> Result<()> {
        let batch = u64::try_from(BATCH)?;
        let mut next = 0;
        while next < self.records {
            let end = self.records.min(next + batch);
            let signed = cores::each("batches signed", agents.len(), |n| {
                let agent = agents.get(n).context("no such agent")?;
                writers::batch(host, agent, next..end, self.size, Order::Random)
            })?;
            writers::run(host, signed, CONNECTIONS.min(agents.len()), None).await?;
            next = end;
        }
        Ok(())
    }

    async fn read(&self, host: &Host, agent: &Agent) -> Result<()> {
        let rkey = writers::random_rkey(0)?;
        let query = format!("getRecord?repo={}&collection={NOTE}&rkey={rkey}", agent.did());
        load::send(&mut host.http().await?, read::get(host, &query)?, load::length).await?;
        Ok(())
    }
}

impl AtRest {
    fn of(host: &Host) -> Result<Self> {
        let data = host.data().context("no data directory")?;
        Ok(Self {
            start_up: host.start_up,
            mb: host.usage().map(|usage| megabytes(usage.rss_kb)),
            data_bytes: bytes_in(data, &|_| true)?,
            log_bytes: log_bytes(data)?,
        })
    }

    fn print(self, state: &str, accounts: usize, empty: Option<Self>) {
        let start_up = self.start_up.map(|time| round(time.as_secs_f64() * 1e3));
        let added = self.mb.zip(empty.and_then(|empty| empty.mb)).map(|(now, empty)| now - empty);
        let data_mb = real(self.data_bytes) / 1e6;
        print(
            &json!({
                "scenario": "rest", "state": state, "accounts": accounts, "start_up_ms": start_up,
                "server_mb": self.mb, "above_empty_mb": added.map(round), "data_mb": round(data_mb),
                "log_mb": round(real(self.log_bytes) / 1e6),
            }),
            &format!(
                "{state}, {accounts} accounts, {data_mb:.0} MB of data: started in {} ms, {} MB of memory",
                or_unknown(start_up),
                or_unknown(self.mb),
            ),
        );
    }
}

/// The write-ahead logs of SQLite.
fn log_bytes(dir: &Path) -> Result<u64> {
    bytes_in(dir, &|name| name.ends_with("-wal"))
}

/// All files below a directory with such a name.
fn bytes_in(dir: &Path, counts: &impl Fn(&str) -> bool) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += bytes_in(&entry.path(), counts)?;
        } else if kind.is_file() && counts(&entry.file_name().to_string_lossy()) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_in_folders_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::write(dir.path().join("blobs/one"), [0; 10]).unwrap();
        fs::write(dir.path().join("rookery.db-wal"), [0; 5]).unwrap();
        assert_eq!(bytes_in(dir.path(), &|_| true).unwrap(), 15);
        assert_eq!(log_bytes(dir.path()).unwrap(), 5);
    }
}
