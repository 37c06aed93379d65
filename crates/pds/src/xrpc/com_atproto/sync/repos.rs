//! What the lists of repos answer.

use crate::ports::Page;
use serde::Serialize;

/// A page of repos, in the order in which they were made.
#[derive(Serialize)]
pub(crate) struct Repos<Entry> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    repos: Vec<Entry>,
}

impl<Entry> Repos<Entry> {
    /// The answer with a page of up to `limit`. After one that is not full there is nothing more.
    pub(super) fn page<T: Into<Entry>>(page: Page<T>, limit: i64) -> Self {
        let full = i64::try_from(page.entries.len()).is_ok_and(|count| count == limit);
        let cursor = page.last.filter(|_| full).map(|last| last.to_string());
        Self { cursor, repos: page.entries.into_iter().map(Into::into).collect() }
    }
}
