//! Heads and tree nodes.

use super::account::Status;
use super::{cid, column_error, one, parsed};
use crate::ports::{RepoId, Row, Sql, SqlError, Value};
use bytes::Bytes;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{Change, Link, NodeSource, Place, StoredNode, decode_places, encode_places};
use rookery_atproto::repo::Head;
use rookery_atproto::syntax::{Did, Tid};

/// Bits of a node's row id that are its place; the rest is the account. 2^28 places and 2^25 accounts stay below 2^53.
const PLACE_BITS: u32 = 28;

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
}

/// Reads what a write needs.
pub fn writable(sql: &dyn Sql, repo: RepoId) -> Result<Option<Writable>, SqlError> {
    one(
        sql,
        "SELECT r.commit_cid, r.rev, r.root_cid, r.root_place, r.next_place, a.did, a.status, a.signing_key \
         FROM repo r JOIN account a ON a.id = r.account WHERE r.account = ?1",
        &[Value::Int(repo.0)],
        |row| {
            Ok(Writable {
                head: read_head(row)?,
                did: parsed(row, 5)?,
                status: row.text(6)?.parse().map_err(|error: String| column_error(6, error))?,
                signing_key: row.blob(7)?.to_vec(),
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
pub fn insert_head(sql: &dyn Sql, repo: RepoId, head: &Head, commit_block: &[u8]) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO repo (account, rev, commit_cid, commit_body, root_cid, root_place, next_place) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            Value::Int(repo.0),
            Value::Text(&head.rev.to_string()),
            Value::Blob(head.commit.as_bytes()),
            Value::Blob(commit_block),
            Value::Blob(head.root.cid.as_bytes()),
            Value::Int(number(head.root.place)?),
            Value::Int(number(head.next_place)?),
        ],
    )?;
    Ok(())
}

/// Puts a new head in place of the one with revision `since`. False when the head is another one by now.
pub fn swap_head(
    sql: &dyn Sql,
    repo: RepoId,
    since: Tid,
    head: &Head,
    commit_block: &[u8],
) -> Result<bool, SqlError> {
    let changed = sql.exec(
        "UPDATE repo SET rev = ?3, commit_cid = ?4, commit_body = ?5, root_cid = ?6, root_place = ?7, next_place = ?8 \
         WHERE account = ?1 AND rev = ?2",
        &[
            Value::Int(repo.0),
            Value::Text(&since.to_string()),
            Value::Text(&head.rev.to_string()),
            Value::Blob(head.commit.as_bytes()),
            Value::Blob(commit_block),
            Value::Blob(head.root.cid.as_bytes()),
            Value::Int(number(head.root.place)?),
            Value::Int(number(head.next_place)?),
        ],
    )?;
    Ok(changed == 1)
}

/// Writes the nodes of a change and removes those that are gone.
pub fn write_nodes(sql: &dyn Sql, repo: RepoId, rev: Tid, change: &Change) -> Result<(), SqlError> {
    let rev = rev.to_string();
    for node in &change.written {
        sql.exec(
            "INSERT INTO node (id, rev, cid, block, children) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET rev = excluded.rev, cid = excluded.cid, block = excluded.block, \
             children = excluded.children",
            &[
                Value::Int(node_id(repo, node.link.place)?),
                Value::Text(&rev),
                Value::Blob(node.link.cid.as_bytes()),
                Value::Blob(&node.block),
                Value::Blob(&encode_places(&node.children)),
            ],
        )?;
    }
    for link in &change.removed {
        sql.exec("DELETE FROM node WHERE id = ?1", &[Value::Int(node_id(repo, link.place)?)])?;
    }
    Ok(())
}

/// The tree of one repo, node by node.
pub struct Nodes<'a> {
    /// The snapshot.
    pub sql: &'a dyn Sql,
    /// Whose tree.
    pub repo: RepoId,
}

impl NodeSource for Nodes<'_> {
    type Error = SqlError;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, SqlError> {
        let found = one(
            self.sql,
            "SELECT cid, block, children FROM node WHERE id = ?1",
            &[Value::Int(node_id(self.repo, at.place)?)],
            |row| {
                let node = StoredNode {
                    block: Bytes::copy_from_slice(row.blob(1)?),
                    children: decode_places(row.blob(2)?).map_err(|error| column_error(2, error))?,
                };
                Ok((cid(row, 0)?, node))
            },
        )?;
        match found {
            // The parent says which node it means: a place that holds another one is corruption, not data.
            Some((cid, _)) if cid != at.cid => {
                Err(SqlError::Other(format!("place {} holds {cid}, not {}", at.place.0, at.cid)))
            }
            other => Ok(other.map(|(_, node)| node)),
        }
    }
}

/// Row id of the first place of a repo's nodes; those of the next repo begin where its last place ends.
pub(super) fn first_node(repo: RepoId) -> i64 {
    repo.0 << PLACE_BITS
}

fn node_id(repo: RepoId, place: Place) -> Result<i64, SqlError> {
    let place = number(place)?;
    if place >> PLACE_BITS != 0 {
        return Err(SqlError::Other(format!("place {place} is past the last one")));
    }
    Ok(first_node(repo) | place)
}

fn number(place: Place) -> Result<i64, SqlError> {
    i64::try_from(place.0).map_err(|error| SqlError::Other(error.to_string()))
}

/// One entry of `listRepos`.
pub struct Listed {
    /// Whose repo.
    pub did: Did,
    /// Whether it is served.
    pub status: Status,
    /// Its commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
}

/// Calls `each` for up to `limit` repos after the account number `after`, and returns the number of the last one.
pub fn list(
    sql: &dyn Sql,
    after: i64,
    limit: i64,
    each: &mut dyn FnMut(Listed),
) -> Result<Option<RepoId>, SqlError> {
    let mut last = None;
    sql.query(
        "SELECT a.id, a.did, a.status, r.commit_cid, r.rev FROM account a JOIN repo r ON r.account = a.id \
         WHERE a.id > ?1 AND a.status <> 'deleted' ORDER BY a.id LIMIT ?2",
        &[Value::Int(after), Value::Int(limit)],
        &mut |row| {
            last = Some(RepoId(row.int(0)?));
            each(Listed {
                did: parsed(row, 1)?,
                status: row.text(2)?.parse().map_err(|error: String| column_error(2, error))?,
                commit: cid(row, 3)?,
                rev: parsed(row, 4)?,
            });
            Ok(())
        },
    )?;
    Ok(last)
}

/// The revision that last wrote the node at a place.
pub fn node_rev(sql: &dyn Sql, repo: RepoId, at: Place) -> Result<Tid, SqlError> {
    let rev = one(sql, "SELECT rev FROM node WHERE id = ?1", &[Value::Int(node_id(repo, at)?)], |row| {
        parsed(row, 0)
    })?;
    rev.ok_or_else(|| SqlError::Other(format!("no node at place {}", at.0)))
}
