//! `rookery agent delete RECORD`

use super::Profiles;
use super::address::Address;
use super::output::Reply;
use anyhow::Result;
use clap::Args;

/// Delete a record
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// COLLECTION/RKEY, or an at:// URI of the agent's own
    #[arg(value_name = "RECORD")]
    address: Address,
}

impl Delete {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let agent = profiles.agent()?;
        self.address.ensure_own(&agent)?;
        let Address { collection, rkey, .. } = self.address;
        let deleted = agent.delete_record(collection.as_str(), rkey.as_str()).await?;
        let what = if deleted.commit.is_some() { "deleted" } else { "there was no record" };
        Reply::new(format!("{what} at://{}/{collection}/{rkey}", agent.did()), &deleted)
    }
}
