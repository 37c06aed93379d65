//! Heads.

use super::account::Status;
use super::tree::{Recent, number};
use super::{cid, column_error, one, parsed};
use crate::ports::{Listed, Page, RepoId, Row, Sql, SqlError, Value};
use bytes::Bytes;
use rookery_atproto::mst::{Link, Place};
use rookery_atproto::repo::Head;
use rookery_atproto::syntax::{Did, Tid};

/// The head of a repo, the account's status and its sealed key: all that a write needs to know.
#[derive(Debug)]
pub struct Writable {
    /// The account's DID.
    pub did: Did,
    /// Only an active account is written to.
    pub status: Status,
    /// The repo's signing key, sealed.
    pub signing_key: Vec<u8>,
    /// The head to build on.
    pub head: Head,
    /// The nodes in its row.
    pub recent: Recent,
}

/// Reads what a write needs.
pub fn writable(sql: &dyn Sql, repo: RepoId) -> Result<Option<Writable>, SqlError> {
    one(
        sql,
        "SELECT r.commit_cid, r.rev, r.root_cid, r.root_place, r.next_place, r.recent, \
         a.did, a.status, a.signing_key \
         FROM repo r JOIN account a ON a.id = r.account WHERE r.account = ?1",
        &[Value::Int(repo.0)],
        |row| {
            Ok(Writable {
                head: read_head(row)?,
                recent: Recent::read(row, 5)?,
                did: parsed(row, 6)?,
                status: row.text(7)?.parse().map_err(|error: String| column_error(7, error))?,
                signing_key: row.blob(8)?.to_vec(),
            })
        },
    )
}

/// The head of a repo that exists.
pub fn head(sql: &dyn Sql, repo: RepoId) -> Result<Head, SqlError> {
    let head = one(
        sql,
        "SELECT commit_cid, rev, root_cid, root_place, next_place FROM repo WHERE account = ?1",
        &[Value::Int(repo.0)],
        read_head,
    )?;
    head.ok_or_else(|| SqlError::Other(format!("account {} has no repo", repo.0)))
}

/// The head of a repo that exists, and the nodes in its row.
pub fn head_and_recent(sql: &dyn Sql, repo: RepoId) -> Result<(Head, Recent), SqlError> {
    let found = one(
        sql,
        "SELECT commit_cid, rev, root_cid, root_place, next_place, recent FROM repo WHERE account = ?1",
        &[Value::Int(repo.0)],
        |row| Ok((read_head(row)?, Recent::read(row, 5)?)),
    )?;
    found.ok_or_else(|| SqlError::Other(format!("account {} has no repo", repo.0)))
}

/// The block of the current commit.
pub fn commit_block(sql: &dyn Sql, repo: RepoId) -> Result<Bytes, SqlError> {
    let block = one(sql, "SELECT commit_body FROM repo WHERE account = ?1", &[Value::Int(repo.0)], |row| {
        Ok(Bytes::copy_from_slice(row.blob(0)?))
    })?;
    block.ok_or_else(|| SqlError::Other(format!("account {} has no repo", repo.0)))
}

fn read_head(row: &dyn Row) -> Result<Head, SqlError> {
    Ok(Head {
        commit: cid(row, 0)?,
        rev: parsed(row, 1)?,
        root: Link { cid: cid(row, 2)?, place: place(row, 3)? },
        next_place: place(row, 4)?,
    })
}

fn place(row: &dyn Row, column: usize) -> Result<Place, SqlError> {
    u64::try_from(row.int(column)?).map(Place).map_err(|error| column_error(column, error))
}

/// The head of a new repo.
pub fn insert_head(
    sql: &dyn Sql,
    repo: RepoId,
    head: &Head,
    commit_block: &[u8],
    recent: &Recent,
) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO repo (account, rev, commit_cid, commit_body, root_cid, root_place, next_place, recent) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &[
            Value::Int(repo.0),
            Value::Text(&head.rev.to_string()),
            Value::Blob(head.commit.as_bytes()),
            Value::Blob(commit_block),
            Value::Blob(head.root.cid.as_bytes()),
            Value::Int(number(head.root.place)?),
            Value::Int(number(head.next_place)?),
            Value::Blob(&recent.encode()),
        ],
    )?;
    Ok(())
}

/// Puts a new head in place of the one with revision `since`. False when the head is another one by now, or the account is not
/// active any more: whoever is told of that is told of no commit after it.
pub fn swap_head(
    sql: &dyn Sql,
    repo: RepoId,
    since: Tid,
    head: &Head,
    commit_block: &[u8],
    recent: &Recent,
) -> Result<bool, SqlError> {
    let changed = sql.exec(
        "UPDATE repo SET rev = ?3, commit_cid = ?4, commit_body = ?5, root_cid = ?6, root_place = ?7, next_place = ?8, \
         recent = ?9 \
         WHERE account = ?1 AND rev = ?2 AND (SELECT status FROM account WHERE id = ?1) = 'active'",
        &[
            Value::Int(repo.0),
            Value::Text(&since.to_string()),
            Value::Text(&head.rev.to_string()),
            Value::Blob(head.commit.as_bytes()),
            Value::Blob(commit_block),
            Value::Blob(head.root.cid.as_bytes()),
            Value::Int(number(head.root.place)?),
            Value::Int(number(head.next_place)?),
            Value::Blob(&recent.encode()),
        ],
    )?;
    Ok(changed == 1)
}

/// Up to `limit` repos after the account number `after`, those of deleted accounts left out.
pub fn list(sql: &dyn Sql, after: i64, limit: i64) -> Result<Page<Listed>, SqlError> {
    let mut page = Page { entries: Vec::new(), last: None };
    sql.query(
        "SELECT a.id, a.did, a.status, r.commit_cid, r.rev FROM account a JOIN repo r ON r.account = a.id \
         WHERE a.id > ?1 AND a.status <> 'deleted' ORDER BY a.id LIMIT ?2",
        &[Value::Int(after), Value::Int(limit)],
        &mut |row| {
            page.last = Some(row.int(0)?);
            page.entries.push(listed(row)?);
            Ok(())
        },
    )?;
    Ok(page)
}

/// The entry of one repo that exists.
pub fn listed_by_id(sql: &dyn Sql, repo: RepoId) -> Result<Listed, SqlError> {
    let found = one(
        sql,
        "SELECT a.id, a.did, a.status, r.commit_cid, r.rev FROM account a JOIN repo r ON r.account = a.id \
         WHERE a.id = ?1",
        &[Value::Int(repo.0)],
        listed,
    )?;
    found.ok_or_else(|| SqlError::Other(format!("account {} has no repo", repo.0)))
}

/// DID, status, commit and revision in the columns after the first.
pub(super) fn listed(row: &dyn Row) -> Result<Listed, SqlError> {
    Ok(Listed {
        did: parsed(row, 1)?,
        status: row.text(2)?.parse().map_err(|error: String| column_error(2, error))?,
        commit: cid(row, 3)?,
        rev: parsed(row, 4)?,
    })
}
