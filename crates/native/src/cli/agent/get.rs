//! `rookery agent get RECORD`

use super::Profiles;
use super::address::Address;
use super::output::{Reply, terminal_json};
use anyhow::Result;
use clap::Args;

/// Read a record
#[derive(Debug, Args)]
pub(super) struct Get {
    /// COLLECTION/RKEY in the agent's own repo, or at://REPO/COLLECTION/RKEY for any repo of the service
    #[arg(value_name = "RECORD")]
    address: Address,
}

impl Get {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let agent = profiles.agent()?;
        let Address { repo, collection, rkey } = self.address;
        let repo = repo.map_or_else(|| agent.did().to_string(), |repo| repo.to_string());
        let record = agent.get_record_from(&repo, collection.as_str(), rkey.as_str()).await?;
        Reply::new(terminal_json(&record.value, true), &record)
    }
}
