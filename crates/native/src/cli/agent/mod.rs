//! `rookery agent …`: enroll with a service and keep records there, on top of `rookery-client`.
//!
//! Every action gives a [`Reply`]: text for people, or one JSON value with `--json`. Secrets are in neither.

mod address;
mod create;
mod delete;
mod enroll;
mod get;
mod input;
mod list;
mod output;
mod put;
mod whoami;

use anyhow::Result;
use clap::{Args, Subcommand};
use output::Reply;
use rookery_client::{Agent, ProfileDir, ProfileStore};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it failed, 2 the command line was wrong.
With --json exactly one JSON value goes to stdout; when it failed, {\"error\", \"message\"}.
Agents are kept in $ROOKERY_HOME (default ~/.config/rookery), one directory for each, readable by you alone.";

/// Enroll an agent with a service, and read and write its records
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct AgentCommand {
    /// Which agent; when left out the one enrolled last, and for enroll the handle's first label
    #[arg(long, global = true, value_name = "NAME", env = "ROOKERY_PROFILE")]
    profile: Option<String>,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Enroll(enroll::Enroll),
    Whoami(whoami::WhoAmI),
    Create(create::Create),
    Get(get::Get),
    List(list::List),
    Put(put::Put),
    Delete(delete::Delete),
}

impl AgentCommand {
    /// Does it and prints what came of it.
    pub(crate) async fn run(self) -> ExitCode {
        let json = self.json;
        output::print(json, self.act().await)
    }

    async fn act(self) -> Result<Reply> {
        let profiles = Profiles { store: ProfileStore::open()?, name: self.profile };
        match self.action {
            Action::Enroll(action) => action.run(&profiles).await,
            Action::Whoami(action) => action.run(&profiles).await,
            Action::Create(action) => action.run(&profiles).await,
            Action::Get(action) => action.run(&profiles).await,
            Action::List(action) => action.run(&profiles).await,
            Action::Put(action) => action.run(&profiles).await,
            Action::Delete(action) => action.run(&profiles).await,
        }
    }
}

/// The agents on this machine, and the one that was asked for.
#[derive(Debug)]
struct Profiles {
    store: ProfileStore,
    name: Option<String>,
}

impl Profiles {
    fn chosen(&self) -> Result<ProfileDir> {
        Ok(match &self.name {
            Some(name) => self.store.profile(name)?,
            None => self.store.current()?,
        })
    }

    fn agent(&self) -> Result<Agent> {
        Ok(Agent::from_profile(&self.chosen()?)?)
    }
}
