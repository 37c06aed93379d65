//! Figures of a running server: how fast it writes, reads, tells, replays and exports, and what it takes.
//!
//! Every figure that depends on the machine comes with a *floor* from the same run: what the machine does when nothing but
//! the bytes is moved. The load comes from this process, on the same machine; it is kept cheap (requests are signed
//! before the clock starts, and most readers only count), but it does share the processors with the server.
//!
//! One line of JSON per figure goes to stdout, the same in words and the progress to stderr.

#![expect(clippy::disallowed_methods, reason = "it measures from outside, with a clock of its own")]

mod agents;
mod backfill;
mod batch;
mod burst;
mod cores;
mod export;
mod figures;
mod firehose;
mod floor;
mod grow;
mod hello;
mod host;
mod keys;
mod load;
mod process;
mod progress;
mod read;
mod rest;
mod signup;
mod started;
mod subscriber;
mod write;
mod writers;

use anyhow::Result;
use clap::{Parser, Subcommand};
use host::{Host, Where};

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
    Write(write::Write),
    Batch(batch::Batch),
    Grow(grow::Grow),
    Read(read::Read),
    Signup(signup::Signup),
    Burst(burst::Burst),
    Firehose(firehose::Firehose),
    Backfill(backfill::Backfill),
    Export(export::Export),
    Rest(rest::Rest),
    /// Everything, in sizes that take some minutes, each on a server of its own
    All,
    #[command(hide = true)]
    Hello(hello::Hello),
}

/// What `all` runs.
const ALL: [&[&str]; 11] = [
    &["write"],
    &["write", "--agents", "50", "--algorithm", "ed25519"],
    &["batch"],
    &["grow", "--sizes", "1000,10000,50000"],
    &["read"],
    &["signup"],
    &["burst"],
    &["firehose", "--subscribers", "1,100,1000"],
    &["backfill"],
    &["export"],
    &["rest", "--accounts", "2000"],
];

fn main() -> Result<()> {
    let bench = Bench::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(Box::pin(bench.run()))
}

impl Bench {
    async fn run(&self) -> Result<()> {
        if !matches!(self.scenario, Scenario::All) {
            return self.scenario.run(&self.place).await;
        }
        for arguments in ALL {
            let one = Self::parse_from(["rookery-bench"].iter().chain(arguments));
            Box::pin(one.scenario.run(&self.place)).await?;
        }
        Ok(())
    }
}

impl Scenario {
    async fn run(&self, place: &Where) -> Result<()> {
        match self {
            Self::Write(write) => write.run(&Host::open(place).await?).await,
            Self::Batch(batch) => batch.run(&Host::open(place).await?).await,
            Self::Grow(grow) => grow.run(place).await,
            Self::Read(read) => read.run(&Host::open(place).await?).await,
            Self::Signup(signup) => signup.run(&Host::open(place).await?).await,
            Self::Burst(burst) => burst.run(&Host::open(place).await?).await,
            Self::Firehose(firehose) => firehose.run(&Host::open(place).await?).await,
            Self::Backfill(backfill) => backfill.run(&Host::open(place).await?).await,
            Self::Export(export) => export.run(&Host::open(place).await?).await,
            Self::Rest(rest) => rest.run(place).await,
            Self::Hello(hello) => hello.run().await,
            Self::All => Ok(()),
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
        let scenarios = Bench::command();
        for scenario in scenarios.get_subcommands().filter(|scenario| scenario.get_name() != "hello") {
            let arguments = ["rookery-bench", "--url", "http://127.0.0.1:1", scenario.get_name()];
            Bench::try_parse_from(arguments).unwrap();
        }
        for arguments in ALL {
            Bench::try_parse_from(["rookery-bench"].iter().chain(arguments)).unwrap();
        }
    }
}
