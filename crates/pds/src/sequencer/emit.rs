//! Events into the log, in the transaction of what they tell.

use crate::ports::{RepoId, Sql, SqlError};
use crate::store;
use crate::store::account::{Account, NewAccount, Status};
use jiff::Timestamp;
use rookery_atproto::car;
use rookery_atproto::event::{self, CommitEvent, Unsequenced};
use rookery_atproto::repo::Head;
use rookery_atproto::syntax::Did;

/// A time (microseconds) in the datetime format of atproto, to the millisecond.
pub(crate) fn datetime(micros: i64) -> String {
    let time = Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("{time:.3}")
}

/// Everything about a new account, in the order in which others need it: who it is, that it is served, its first commit, and
/// that commit as its state.
pub(crate) fn signup(
    sql: &dyn Sql,
    account: RepoId,
    now: i64,
    new: &NewAccount<'_>,
    head: &Head,
    (commit_block, blocks): (&[u8], &[u8]),
) -> Result<(), SqlError> {
    let time = datetime(now);
    let first = CommitEvent {
        repo: new.did,
        commit: head.commit,
        rev: head.rev,
        since: None,
        prev_data: None,
        ops: &[],
        blocks,
        time: &time,
    };
    let events = [
        event::identity(new.did, Some(new.handle), &time),
        event::account(new.did, None, &time),
        event::commit(&first),
        sync(new.did, head, commit_block, &time),
    ];
    append_all(sql, account, now, &events)
}

/// An account's status, as it is now. One that is served again is told anew: who it is, and the state of its repo.
pub(crate) fn status_changed(sql: &dyn Sql, now: i64, account: &Account) -> Result<(), SqlError> {
    let time = datetime(now);
    let mut events = vec![event::account(&account.did, account.status.word(), &time)];
    if account.status == Status::Active {
        let head = store::repo::head(sql, account.id)?;
        let commit_block = store::repo::commit_block(sql, account.id)?;
        events.push(event::identity(&account.did, account.handle.as_ref(), &time));
        events.push(sync(&account.did, &head, &commit_block, &time));
    }
    append_all(sql, account.id, now, &events)
}

/// An account's handle, as it is now.
pub(crate) fn identity_changed(sql: &dyn Sql, now: i64, account: &Account) -> Result<(), SqlError> {
    let event = event::identity(&account.did, account.handle.as_ref(), &datetime(now));
    store::event::append(sql, account.id, now, &event)
}

fn append_all(sql: &dyn Sql, account: RepoId, now: i64, events: &[Unsequenced]) -> Result<(), SqlError> {
    events.iter().try_for_each(|event| store::event::append(sql, account, now, event))
}

fn sync(did: &Did, head: &Head, commit_block: &[u8], time: &str) -> Unsequenced {
    let mut blocks = car::header(&[head.commit]);
    car::section(&head.commit, commit_block, &mut blocks);
    event::sync(did, head.rev, &blocks, time)
}
