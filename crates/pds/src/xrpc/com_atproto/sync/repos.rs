//! What the lists of repos answer.

use crate::error::Result;
use crate::ports::{RepoId, SqlError};
use serde::Serialize;

/// A page of repos, in the order in which they were made.
#[derive(Serialize)]
pub(crate) struct Repos<Entry> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    repos: Vec<Entry>,
}

impl<Entry> Repos<Entry> {
    /// The page that `list` fills with up to `limit` entries, and whose last account it returns. After a page that is not full
    /// there is nothing more.
    pub(super) fn page(
        limit: i64,
        list: impl FnOnce(&mut dyn FnMut(Entry)) -> Result<Option<RepoId>, SqlError>,
    ) -> Result<Self> {
        let mut repos = Vec::new();
        let last = list(&mut |entry| repos.push(entry))?;
        let full = i64::try_from(repos.len()).is_ok_and(|count| count == limit);
        Ok(Self { cursor: last.filter(|_| full).map(|last| last.0.to_string()), repos })
    }
}
