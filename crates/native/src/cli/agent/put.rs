//! `rookery agent put RECORD JSON`

use super::address::Address;
use super::output::Reply;
use super::{Profiles, input};
use anyhow::Result;
use clap::Args;

/// Create a record or replace it
#[derive(Debug, Args)]
pub(super) struct Put {
    /// COLLECTION/RKEY, or an at:// URI of the agent's own
    #[arg(value_name = "RECORD")]
    address: Address,
    /// The record: JSON, @FILE, or - for stdin. "$type" is filled in when it is missing
    #[arg(value_name = "JSON|@FILE|-")]
    record: String,
}

impl Put {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let record = input::record(&self.record, &self.address.collection)?;
        let agent = profiles.agent()?;
        self.address.ensure_own(&agent)?;
        let Address { collection, rkey, .. } = self.address;
        let written = agent.put_record(collection.as_str(), rkey.as_str(), &record).await?;
        let what = if written.commit.is_some() { "written" } else { "unchanged" };
        Reply::new(format!("{what} {}\n  cid {}", written.uri, written.cid), &written)
    }
}
