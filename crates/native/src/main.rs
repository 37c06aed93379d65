//! The Rookery server and its command line.

mod cli;
mod clock;
mod config;
mod data_dir;
mod entropy;
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
