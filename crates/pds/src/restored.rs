//! The first start on a backup.
//!
//! What the network knows of the accounts may be newer than the backup: commits that are lost now, a status that was changed.
//! So each account is told of anew, before anything is served: its status, its handle, and a `#sync` of its repo (sync spec,
//! "Repository Synchronization"). A repo gets a commit of its own for that, of the same records: others would take one with an
//! older revision for stale. All these events come after any that the lost server has sent, since `seq` is the clock, and so
//! nobody's cursor is in the future.

use crate::app::App;
use crate::error::{Result, internal};
use crate::ports::Sql;
use crate::sequencer::emit::{self, datetime};
use crate::store;
use crate::store::account::{Account, Status};
use crate::store::tree::Nodes;
use rookery_atproto::event::{self, CommitEvent};
use rookery_atproto::repo;
use std::iter::empty;
use std::sync::Arc;

/// Accounts told of in one transaction.
const AT_ONCE: i64 = 200;

/// Tells of every account anew if the store is a backup that nobody has started on yet. Takes up where it was interrupted.
pub(crate) async fn tell(app: &Arc<App>) -> Result<()> {
    let mut accounts = 0;
    loop {
        let on = Arc::clone(app);
        match app.write(move |sql| next(&on, sql)).await? {
            0 if accounts == 0 => return Ok(()),
            0 => {
                tracing::warn!(accounts, "started on a backup: the network is told of every account anew");
                return Ok(());
            }
            told => accounts += told,
        }
    }
}

/// Tells of the next accounts, and says of how many.
fn next(app: &App, sql: &dyn Sql) -> Result<usize> {
    let Some(after) = store::restored::after(sql)? else { return Ok(0) };
    let accounts = store::account::list_after(sql, after, AT_ONCE)?;
    for account in &accounts {
        let now = app.now_micros();
        if account.status == Status::Active {
            renew(app, sql, account, now)?;
        }
        emit::status_changed(sql, now, account)?;
    }
    store::restored::told(sql, accounts.last().map(|account| account.id))?;
    Ok(accounts.len())
}

/// Gives a repo a commit of the records that it has.
fn renew(app: &App, sql: &dyn Sql, account: &Account, now: i64) -> Result<()> {
    let writable = store::repo::writable(sql, account.id)?
        .ok_or_else(|| internal(format!("account {} has no repo", account.id.0)))?;
    let (head, did) = (writable.head, &writable.did);
    let key = app.sealer.open_key(did.as_str(), &writable.signing_key)?;
    let rev = app.tids.next_after(now.unsigned_abs(), Some(head.rev));
    let nodes = Nodes { sql, repo: account.id, recent: &writable.recent };
    let mut renewed = repo::renew(nodes, &head, did, rev, &key);
    let blocks = renewed.diff(empty()).map_err(|error| internal(error.to_string()))?;
    let event = event::commit(&CommitEvent {
        repo: did,
        commit: renewed.head.commit,
        rev,
        since: renewed.since,
        prev_data: renewed.prev_data,
        ops: &[],
        blocks: &blocks,
        time: &datetime(now),
    });
    let (new, block, change) = renewed.into_stored();
    let tree = writable.recent.follow(head.rev, change, rev);
    if !store::repo::swap_head(sql, account.id, head.rev, &new, &block, &tree.recent)? {
        return Err(internal("the head moved within a transaction"));
    }
    store::tree::write(sql, account.id, &tree)?;
    Ok(store::event::append(sql, account.id, now, &event)?)
}
