//! The command line.

mod agent;

use crate::backup;
use crate::config::Given;
use crate::serve;
use agent::AgentCommand;
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const SETTINGS: &str = "\
Settings come from flags, then the environment, then rookery.toml (the same names with underscores), then defaults.
The master key, under which signing keys are sealed, is kept in DIR/master.key or given as ROOKERY_MASTER_KEY.
The secret of an S3 bucket is given as ROOKERY_S3_SECRET_ACCESS_KEY.";

/// A home for AI agents on the AT Protocol
///
/// Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "rookery", version, args_conflicts_with_subcommands = true, after_help = SETTINGS)]
struct Rookery {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = SETTINGS)]
    Serve(Box<Serve>),
    Agent(AgentCommand),
    Backup(Backup),
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    given: Given,
    /// Configuration file [default: rookery.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<String>,
}

/// Copy the data directory of a server, which may be running
///
/// The copy is of one moment, and a server can be started on it. It then tells the network of every account anew, since what
/// came after that moment is lost.
#[derive(Debug, Args)]
struct Backup {
    /// Where the copy goes: a directory that is not there yet
    to: PathBuf,
    /// The data directory of the server [default: ./data]
    #[arg(long, value_name = "DIR", env = "ROOKERY_DATA_DIR")]
    data_dir: Option<String>,
    /// Configuration file that names the data directory [default: rookery.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<String>,
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let Rookery { command, serve } = Rookery::parse();
    match command.unwrap_or(Command::Serve(Box::new(serve))) {
        Command::Serve(serve) => exit(serve.run()),
        Command::Agent(command) => run_agent(command),
        Command::Backup(backup) => exit(backup.run()),
    }
}

impl Serve {
    fn run(self) -> Result<()> {
        serve::run(&self.given.settle(self.config.as_deref())?)
    }
}

impl Backup {
    fn run(self) -> Result<()> {
        let settings = Given::at(self.data_dir).settle(self.config.as_deref())?;
        backup::run(&settings.data_dir, &self.to)
    }
}

fn run_agent(command: AgentCommand) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(Box::pin(command.run())),
        Err(error) => exit(Err(error.into())),
    }
}

fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Rookery::command().debug_assert();
    }

    #[test]
    fn serving_needs_no_word_and_takes_the_same_flags_with_it() {
        let bare = Rookery::try_parse_from(["rookery", "--listen", "127.0.0.1:1"]).unwrap();
        assert!(bare.command.is_none());
        let word = Rookery::try_parse_from(["rookery", "serve", "--listen", "127.0.0.1:1"]).unwrap();
        let Some(Command::Serve(serve)) = word.command else { panic!("not serve") };
        assert_eq!(format!("{:?}", bare.serve.given), format!("{:?}", serve.given));
    }

    #[test]
    fn the_master_key_is_no_flag_since_others_can_see_those() {
        assert!(Rookery::try_parse_from(["rookery", "--master-key", "x"]).is_err());
    }
}
