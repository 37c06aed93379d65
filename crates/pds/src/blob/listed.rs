//! Pages of the blobs that an account's records refer to.

use crate::error::{Result, invalid_request};
use crate::http::params::Params;
use crate::ports::{RepoId, Sql};
use crate::store;
use crate::store::blob::Referenced;
use rookery_atproto::data::Cid;

/// Blobs looked at for one page. A page that has come so far is ended, full or not: what is looked for may be rare.
const LOOKED_AT: usize = 5_000;

/// Which page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    limit: usize,
    after: Option<Cid>,
}

impl Page {
    /// `limit` and `cursor` as the lexicons have them.
    pub(crate) fn of(params: &Params) -> Result<Self> {
        let limit = params.limit("limit", 1..=1000, 500)?;
        let after = match params.text("cursor") {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|_| {
                invalid_request("The cursor is not one that this endpoint gave. Start without one.")
            })?),
        };
        Ok(Self { limit: usize::try_from(limit).unwrap_or(1), after })
    }
}

/// The blobs of a page that `wanted` makes something of, and where the next page begins, if there is one.
pub(crate) fn page<T>(
    sql: &dyn Sql,
    account: RepoId,
    page: Page,
    wanted: impl Fn(Referenced) -> Option<T>,
) -> Result<(Vec<T>, Option<Cid>)> {
    let (mut found, mut after) = (Vec::new(), page.after);
    for _ in 0..LOOKED_AT {
        let Some(next) = store::blob::next_referenced(sql, account, after)? else { return Ok((found, None)) };
        after = Some(next.cid);
        found.extend(wanted(next));
        if found.len() == page.limit {
            break;
        }
    }
    Ok((found, after))
}
