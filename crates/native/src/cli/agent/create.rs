//! `rookery agent create COLLECTION JSON`

use super::output::Reply;
use super::{Profiles, input};
use anyhow::Result;
use clap::Args;
use rookery_atproto::syntax::{Nsid, RecordKey};

/// Create a record
#[derive(Debug, Args)]
#[command(
    after_help = "Example: rookery agent create app.bsky.feed.post '{\"text\":\"hello\",\"createdAt\":\"2026-01-01T00:00:00Z\"}'"
)]
pub(super) struct Create {
    /// NSID of the collection, such as app.bsky.feed.post
    #[arg(value_parser = Nsid::parse)]
    collection: Nsid,
    /// The record: JSON, @FILE, or - for stdin. "$type" is filled in when it is missing
    #[arg(value_name = "JSON|@FILE|-")]
    record: String,
    /// Record key; the server makes one (a timestamp) when left out
    #[arg(long, value_parser = RecordKey::parse)]
    rkey: Option<RecordKey>,
}

impl Create {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let record = input::record(&self.record, &self.collection)?;
        let agent = profiles.agent()?;
        let rkey = self.rkey.as_ref().map(RecordKey::as_str);
        let written = agent.create_record(self.collection.as_str(), rkey, &record).await?;
        Reply::new(format!("created {}\n  cid {}", written.uri, written.cid), &written)
    }
}
