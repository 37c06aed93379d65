//! The Rookery server and its command line.

#![expect(
    clippy::disallowed_methods,
    reason = "this is a host: it has the clock, the files and the environment"
)]

mod backup;
mod blobs;
mod cli;
mod clock;
mod config;
mod data_dir;
mod entropy;
mod firehose;
#[cfg(test)]
mod in_process;
mod master_key;
mod net;
mod serve;
mod sqlite;
mod terms;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
