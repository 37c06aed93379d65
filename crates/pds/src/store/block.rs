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
use std::mem;

/// Rows read in one step of a search.
const ROWS: i64 = 4096;

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

/// A search for blocks of one repo, which reads no bodies and is over as soon as all are found. All its steps must see the
/// same content.
#[derive(Debug)]
pub struct Search {
    repo: RepoId,
    /// What has not been found yet.
    wanted: HashSet<Cid>,
    found: HashMap<Cid, Kept>,
    /// Rows of nodes that are not what is at their places: those are in the head's row.
    out_of_date: HashSet<i64>,
    next: Next,
}

/// Where a [`Search`] goes on.
#[derive(Debug)]
enum Next {
    Head,
    /// After a row of the tree's nodes.
    Node(i64),
    /// After the record at a path.
    Record(String, String),
    Nowhere,
}

impl Search {
    /// Has read nothing yet.
    pub fn new(repo: RepoId, wanted: &[Cid]) -> Self {
        let wanted = wanted.iter().copied().collect();
        Self { repo, wanted, found: HashMap::new(), out_of_date: HashSet::new(), next: Next::Head }
    }

    /// True when nothing is left to be read or to be found.
    pub fn is_over(&self) -> bool {
        self.wanted.is_empty() || matches!(self.next, Next::Nowhere)
    }

    /// Where a block is.
    pub fn found(&self, cid: &Cid) -> Option<&Kept> {
        self.found.get(cid)
    }

    /// What was not found so far.
    pub fn missing(&self) -> &HashSet<Cid> {
        &self.wanted
    }

    /// Reads the next [`ROWS`] rows at most.
    pub fn go_on(&mut self, sql: &dyn Sql) -> Result<(), SqlError> {
        self.next = match mem::replace(&mut self.next, Next::Nowhere) {
            Next::Head => self.head(sql)?,
            Next::Node(after) => self.nodes(sql, after)?,
            Next::Record(collection, rkey) => self.records(sql, &collection, &rkey)?,
            Next::Nowhere => Next::Nowhere,
        };
        Ok(())
    }

    /// The commit, and the nodes in its row.
    fn head(&mut self, sql: &dyn Sql) -> Result<Next, SqlError> {
        let (head, recent) = super::repo::head_and_recent(sql, self.repo)?;
        if self.wanted.remove(&head.commit) {
            self.found.insert(head.commit, Kept::Commit);
        }
        for node in recent.nodes() {
            self.out_of_date.insert(node_id(self.repo, node.link.place)?);
            if self.wanted.remove(&node.link.cid) {
                self.found.insert(node.link.cid, Kept::Recent(node.block.clone()));
            }
        }
        let (first, _) = node_ids(self.repo);
        Ok(Next::Node(first - 1))
    }

    fn nodes(&mut self, sql: &dyn Sql, after: i64) -> Result<Next, SqlError> {
        let (_, past) = node_ids(self.repo);
        let last = self.scan(
            sql,
            "SELECT cid, id FROM node WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
            &[Value::Int(after), Value::Int(past), Value::Int(ROWS)],
            |row| Ok(Kept::Node(row.int(1)?)),
        )?;
        Ok(match last {
            Some(Kept::Node(last)) => Next::Node(last),
            _ => Next::Record(String::new(), String::new()),
        })
    }

    fn records(&mut self, sql: &dyn Sql, collection: &str, rkey: &str) -> Result<Next, SqlError> {
        let last = self.scan(
            sql,
            "SELECT cid, collection, rkey FROM record WHERE account = ?1 AND (collection, rkey) > (?2, ?3) \
             ORDER BY collection, rkey LIMIT ?4",
            &[Value::Int(self.repo.0), Value::Text(collection), Value::Text(rkey), Value::Int(ROWS)],
            |row| Ok(Kept::Record { collection: row.text(1)?.to_owned(), rkey: row.text(2)?.to_owned() }),
        )?;
        Ok(match last {
            Some(Kept::Record { collection, rkey }) => Next::Record(collection, rkey),
            _ => Next::Nowhere,
        })
    }

    /// Reads up to [`ROWS`] rows that have their CID in the first column, and says where the last of so many is.
    fn scan(
        &mut self,
        sql: &dyn Sql,
        text: &'static str,
        params: &[Value<'_>],
        kept: impl Fn(&dyn Row) -> Result<Kept, SqlError>,
    ) -> Result<Option<Kept>, SqlError> {
        let (mut rows, mut last, mut complete) = (0, None, false);
        let scanned = sql.query(text, params, &mut |row| {
            rows += 1;
            let cid = cid(row, 0)?;
            if rows == ROWS {
                last = Some(kept(row)?);
            }
            if self.wanted.contains(&cid) {
                let kept = kept(row)?;
                if matches!(kept, Kept::Node(id) if self.out_of_date.contains(&id)) {
                    return Ok(());
                }
                self.wanted.remove(&cid);
                self.found.insert(cid, kept);
                complete = self.wanted.is_empty();
                if complete {
                    // Ends the query.
                    return Err(SqlError::Aborted);
                }
            }
            Ok(())
        });
        if complete { Ok(None) } else { scanned.map(|()| last) }
    }
}

/// The bytes of a block that a [`Search`] found, of the same content.
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
