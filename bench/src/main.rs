//! Figures of a running server: how fast it writes, tells, replays and exports.
//!
//! Every figure that depends on the machine comes with a *floor* from the same run: what the machine does when nothing but
//! the bytes is moved. The load comes from this process, on the same machine; it is kept cheap (requests are signed
//! before the clock starts, and most readers only count), but it does share the processors with the server.
//!
//! One line of JSON per figure goes to stdout, the same in words and the progress to stderr.

#![expect(clippy::disallowed_methods, reason = "it measures from outside, with a clock of its own")]

mod backfill;
mod export;
mod figures;
mod firehose;
mod floor;
mod host;
mod progress;
mod subscriber;
mod write;
mod writers;

use anyhow::Result;
use backfill::Backfill;
use clap::{Parser, Subcommand};
use export::Export;
use firehose::Firehose;
use host::{Host, Where};
use write::Write;

/// Measures a Rookery server
///
/// Give either a program to start, or the URL of a server that nobody else uses meanwhile.
#[derive(Debug, Parser)]
#[command(name = "rookery-bench", version)]
struct Bench {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    Firehose(Firehose),
    Backfill(Backfill),
    Export(Export),
    Write(Write),
    /// Everything with its defaults, each on a server of its own
    All,
}

fn main() -> Result<()> {
    let bench = Bench::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(Box::pin(bench.run()))
}

impl Bench {
    async fn run(&self) -> Result<()> {
        match &self.scenario {
            Scenario::Firehose(firehose) => firehose.run(&Host::open(&self.place).await?).await,
            Scenario::Backfill(backfill) => backfill.run(&Host::open(&self.place).await?).await,
            Scenario::Export(export) => export.run(&Host::open(&self.place).await?).await,
            Scenario::Write(write) => write.run(&Host::open(&self.place).await?).await,
            Scenario::All => {
                let none: [&str; 1] = [""];
                Write::parse_from(none).run(&Host::open(&self.place).await?).await?;
                Firehose::parse_from(none).run(&Host::open(&self.place).await?).await?;
                Backfill::parse_from(none).run(&Host::open(&self.place).await?).await?;
                Export::parse_from(none).run(&Host::open(&self.place).await?).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed_and_every_scenario_has_defaults() {
        Bench::command().debug_assert();
        for scenario in ["firehose", "backfill", "export", "write", "all"] {
            Bench::try_parse_from(["rookery-bench", "--url", "http://127.0.0.1:1", scenario]).unwrap();
        }
    }
}
