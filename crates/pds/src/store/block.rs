//! Blocks of a repo by CID.
//!
//! Nodes are kept by place and records by path, so a block is found by reading all rows of the account in order. It is asked
//! for rarely; an index by CID would cost every write a random page for each block.

use super::tree::{node_id, node_ids};
use super::{cid, one};
use crate::ports::{RepoId, Row, Sql, SqlError, Value};
use bytes::Bytes;
use rookery_atproto::data::Cid;
use std::collections::{HashMap, HashSet};

/// Rows read between two calls of `pause`.
const PAUSE: u64 = 4096;

/// Where a block is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is the commit.
    Commit,
    /// It is a recent node, this one.
    Recent(Bytes),
    /// Row of the tree's nodes.
    Node(i64),
    /// Path of a record.
    Record {
        /// Its collection.
        collection: String,
        /// Its key.
        rkey: String,
    },
}

/// Finds blocks, and stops as soon as all are found. Reads no bodies. Calls `pause` now and then; an error of it ends
/// the search.
pub fn locate(
    sql: &dyn Sql,
    repo: RepoId,
    wanted: &[Cid],
    pause: &mut dyn FnMut() -> Result<(), SqlError>,
) -> Result<HashMap<Cid, Kept>, SqlError> {
    let mut search =
        Search { wanted: wanted.iter().copied().collect(), found: HashMap::new(), rows: 0, pause };
    let account = Value::Int(repo.0);
    search.scan(sql, "SELECT commit_cid FROM repo WHERE account = ?1", &[account], |_| {
        Ok(Some(Kept::Commit))
    })?;
    let (_, recent) = super::repo::head_and_recent(sql, repo)?;
    let mut out_of_date = HashSet::new();
    for node in recent.nodes() {
        out_of_date.insert(node_id(repo, node.link.place)?);
        if search.wanted.remove(&node.link.cid) {
            search.found.insert(node.link.cid, Kept::Recent(node.block.clone()));
        }
    }
    let (first_node, past_nodes) = node_ids(repo);
    search.scan(
        sql,
        "SELECT cid, id FROM node WHERE id >= ?1 AND id < ?2",
        &[Value::Int(first_node), Value::Int(past_nodes)],
        |row| {
            let id = row.int(1)?;
            Ok((!out_of_date.contains(&id)).then_some(Kept::Node(id)))
        },
    )?;
    search.scan(sql, "SELECT cid, collection, rkey FROM record WHERE account = ?1", &[account], |row| {
        Ok(Some(Kept::Record { collection: row.text(1)?.to_owned(), rkey: row.text(2)?.to_owned() }))
    })?;
    Ok(search.found)
}

struct Search<'a> {
    /// What has not been found yet.
    wanted: HashSet<Cid>,
    found: HashMap<Cid, Kept>,
    rows: u64,
    pause: &'a mut dyn FnMut() -> Result<(), SqlError>,
}

impl Search<'_> {
    /// Reads rows that have their CID in the first column, unless there is nothing left to find. `kept` says where the block
    /// is, or that the row does not count.
    fn scan(
        &mut self,
        sql: &dyn Sql,
        text: &'static str,
        params: &[Value<'_>],
        kept: impl Fn(&dyn Row) -> Result<Option<Kept>, SqlError>,
    ) -> Result<(), SqlError> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let mut complete = false;
        let scanned = sql.query(text, params, &mut |row| {
            self.rows += 1;
            if self.rows.is_multiple_of(PAUSE) {
                (self.pause)()?;
            }
            let cid = cid(row, 0)?;
            if self.wanted.contains(&cid)
                && let Some(kept) = kept(row)?
            {
                self.wanted.remove(&cid);
                self.found.insert(cid, kept);
                if self.wanted.is_empty() {
                    complete = true;
                    // Ends the query.
                    return Err(SqlError::Aborted);
                }
            }
            Ok(())
        });
        if complete { Ok(()) } else { scanned }
    }
}

/// The bytes of a block that [`locate`] found in the same snapshot.
pub fn read(sql: &dyn Sql, repo: RepoId, kept: &Kept) -> Result<Vec<u8>, SqlError> {
    let body = |row: &dyn Row| Ok(row.blob(0)?.to_vec());
    let found = match kept {
        Kept::Commit => {
            one(sql, "SELECT commit_body FROM repo WHERE account = ?1", &[Value::Int(repo.0)], body)?
        }
        Kept::Recent(block) => Some(block.to_vec()),
        Kept::Node(id) => one(sql, "SELECT block FROM node WHERE id = ?1", &[Value::Int(*id)], body)?,
        Kept::Record { collection, rkey } => one(
            sql,
            "SELECT body FROM record WHERE account = ?1 AND collection = ?2 AND rkey = ?3",
            &[Value::Int(repo.0), Value::Text(collection), Value::Text(rkey)],
            body,
        )?,
    };
    found.ok_or_else(|| SqlError::Other(format!("{kept:?} of account {} is gone", repo.0)))
}
