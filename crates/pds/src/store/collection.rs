//! Which accounts have records in a collection.

use super::{accounts, scalar};
use crate::ports::{Page, RepoId, Sql, SqlError, Value};
use rookery_atproto::repo::RepoOp;
use rookery_atproto::syntax::{Did, Nsid};
use std::collections::BTreeSet;

/// The collections that a commit may have started or emptied. Updates do neither.
#[derive(Debug)]
pub struct Touched {
    created: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

/// What the operations of a commit touch.
pub fn touched(ops: &[RepoOp]) -> Touched {
    let collections = |of: fn(&RepoOp) -> bool| {
        let paths = ops.iter().filter(|op| of(op)).filter_map(|op| op.path.split_once('/'));
        paths.map(|(collection, _)| collection.to_owned()).collect::<BTreeSet<_>>()
    };
    let created = collections(|op| op.cid.is_some() && op.prev.is_none());
    let mut deleted = collections(|op| op.cid.is_none());
    deleted.retain(|collection| !created.contains(collection));
    Touched { created, deleted }
}

/// Keeps the index, once the records are written.
pub fn update(sql: &dyn Sql, repo: RepoId, touched: &Touched) -> Result<(), SqlError> {
    for collection in &touched.created {
        sql.exec(
            "INSERT INTO repo_collection (collection, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            &[Value::Text(collection), Value::Int(repo.0)],
        )?;
    }
    for collection in &touched.deleted {
        sql.exec(
            "DELETE FROM repo_collection WHERE collection = ?1 AND account = ?2 \
             AND NOT EXISTS (SELECT 1 FROM record WHERE account = ?2 AND collection = ?1)",
            &[Value::Text(collection), Value::Int(repo.0)],
        )?;
    }
    Ok(())
}

/// True when an account has records in a collection.
pub fn has(sql: &dyn Sql, repo: RepoId, collection: &str) -> Result<bool, SqlError> {
    let text = "SELECT 1 FROM repo_collection WHERE collection = ?1 AND account = ?2";
    Ok(scalar(sql, text, &[Value::Text(collection), Value::Int(repo.0)])?.is_some())
}

/// Up to `limit` active accounts with records in a collection, those after the account number `after`.
pub fn repos(sql: &dyn Sql, collection: &Nsid, after: i64, limit: i64) -> Result<Page<Did>, SqlError> {
    accounts(
        sql,
        "SELECT c.account, a.did FROM repo_collection c JOIN account a ON a.id = c.account \
         WHERE c.collection = ?1 AND c.account > ?2 AND a.status = 'active' ORDER BY c.account LIMIT ?3",
        &[Value::Text(collection.as_str()), Value::Int(after), Value::Int(limit)],
    )
}
