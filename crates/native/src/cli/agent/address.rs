//! Which record is meant: `COLLECTION/RKEY` in the agent's own repo, or an AT-URI.

use anyhow::{Result, ensure};
use rookery_atproto::syntax::{AtIdentifier, Nsid, RecordKey};
use rookery_client::Agent;
use std::str::FromStr;

/// A record's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Whose repo; the agent's own when `None`.
    pub(super) repo: Option<AtIdentifier>,
    pub(super) collection: Nsid,
    pub(super) rkey: RecordKey,
}

impl Address {
    /// Refuses a record of somebody else: only one's own can be written.
    pub(super) fn ensure_own(&self, agent: &Agent) -> Result<()> {
        if let Some(repo) = &self.repo {
            let repo = repo.to_string();
            let own = repo == agent.did().as_str() || repo == agent.handle().as_str();
            ensure!(
                own,
                "the record belongs to {repo}; this agent is {} and can write only its own",
                agent.handle()
            );
        }
        Ok(())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected COLLECTION/RKEY, such as app.bsky.feed.post/3l2a2b3c4d5e2, or at://REPO/COLLECTION/RKEY";
        let (repo, path) = match text.strip_prefix("at://") {
            Some(rest) => {
                let (repo, path) = rest.split_once('/').ok_or(FORM)?;
                (Some(AtIdentifier::parse(repo).map_err(|error| error.to_string())?), path)
            }
            None => (None, text),
        };
        let (collection, rkey) = path.split_once('/').ok_or(FORM)?;
        Ok(Self {
            repo,
            collection: Nsid::parse(collection).map_err(|error| error.to_string())?,
            rkey: RecordKey::parse(rkey).map_err(|error| error.to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_record() {
        let short: Address = "app.bsky.feed.post/k1".parse().unwrap();
        let long: Address = "at://alice.test/app.bsky.feed.post/k1".parse().unwrap();
        assert_eq!((&short.collection, &short.rkey), (&long.collection, &long.rkey));
        assert_eq!(short.repo, None);
        assert_eq!(long.repo.unwrap().to_string(), "alice.test");
    }

    #[test]
    fn what_names_no_record_is_refused() {
        for text in [
            "",
            "app.bsky.feed.post",
            "app.bsky.feed.post/",
            "/k",
            "a.b.c/..",
            "at://alice.test",
            "at://alice.test/a.b.c",
            "a.b.c/k/x",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
