//! `rookery agent list COLLECTION`

use super::Profiles;
use super::output::{Reply, cut, terminal_json};
use anyhow::Result;
use clap::Args;
use rookery_atproto::syntax::Nsid;
use rookery_client::{Listing, Page, Record};

/// The most that a page holds.
const FULL_PAGE: u16 = 100;
const SHOWN_CHARS: usize = 100;

/// List the records of a collection, newest first
#[derive(Debug, Args)]
pub(super) struct List {
    /// NSID of the collection, such as app.bsky.feed.post
    #[arg(value_parser = Nsid::parse)]
    collection: Nsid,
    /// How many, 1 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100), conflicts_with = "all")]
    limit: Option<u16>,
    /// Where to go on: the cursor of the page before
    #[arg(long)]
    cursor: Option<String>,
    /// Oldest first
    #[arg(long)]
    reverse: bool,
    /// Every record, page after page
    #[arg(long)]
    all: bool,
}

impl List {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let agent = profiles.agent()?;
        let limit = if self.all { Some(FULL_PAGE) } else { self.limit };
        let mut listing = Listing { limit, cursor: self.cursor, reverse: self.reverse };
        let mut page = agent.list_records(self.collection.as_str(), &listing).await?;
        while self.all && page.cursor.is_some() && page.cursor != listing.cursor {
            listing.cursor = page.cursor.take();
            let next = agent.list_records(self.collection.as_str(), &listing).await?;
            page.records.extend(next.records);
            page.cursor = next.cursor;
        }
        if self.all {
            page.cursor = None;
        }
        Reply::new(text(&page), &page)
    }
}

fn text(page: &Page) -> String {
    let mut lines: Vec<String> = page.records.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("no records".to_owned());
    }
    if let Some(cursor) = &page.cursor {
        lines
            .push(format!("more with --cursor {}", cut(&terminal_json(&cursor.as_str().into(), false), 600)));
    }
    lines.join("\n")
}

fn line(record: &Record) -> String {
    let uri = record.uri.as_str();
    let rkey = uri.rsplit('/').next().unwrap_or(uri);
    format!("{rkey}  {}", cut(&terminal_json(&record.value, false), SHOWN_CHARS))
}
