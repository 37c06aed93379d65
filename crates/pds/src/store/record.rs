//! Records: the rows that are read and listed.

use super::{cid, one};
use crate::ports::{RepoId, Sql, SqlError, Value};
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{Nsid, RecordKey, Tid};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Hash of `body`.
    pub cid: Cid,
    /// DAG-CBOR.
    pub body: Vec<u8>,
}

/// The record at a path.
pub fn get(
    sql: &dyn Sql,
    repo: RepoId,
    collection: &Nsid,
    rkey: &RecordKey,
) -> Result<Option<Record>, SqlError> {
    one(
        sql,
        "SELECT cid, body FROM record WHERE account = ?1 AND collection = ?2 AND rkey = ?3",
        &[Value::Int(repo.0), Value::Text(collection.as_str()), Value::Text(rkey.as_str())],
        |row| Ok(Record { cid: cid(row, 0)?, body: row.blob(1)?.to_vec() }),
    )
}

/// A page of a collection.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Records in the page at most.
    pub limit: i64,
    /// Only what comes after this record key in the order asked for.
    pub after: Option<&'a str>,
    /// False: newest (highest record key) first.
    pub ascending: bool,
}

/// Calls `each` with record key, CID and body of the records of a page, in order.
pub fn list(
    sql: &dyn Sql,
    repo: RepoId,
    collection: &Nsid,
    page: Page<'_>,
    mut each: impl FnMut(&str, Cid, &[u8]) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    // '~' is the highest character of a record key, so "~~" is past any that a first page must include.
    let (text, bound) = if page.ascending {
        (
            "SELECT rkey, cid, body FROM record WHERE account = ?1 AND collection = ?2 AND rkey > ?3 \
             ORDER BY rkey LIMIT ?4",
            page.after.unwrap_or(""),
        )
    } else {
        match page.after {
            Some(after) => (
                "SELECT rkey, cid, body FROM record WHERE account = ?1 AND collection = ?2 AND rkey < ?3 \
                 ORDER BY rkey DESC LIMIT ?4",
                after,
            ),
            None => (
                "SELECT rkey, cid, body FROM record WHERE account = ?1 AND collection = ?2 AND rkey >= ?3 \
                 ORDER BY rkey DESC LIMIT ?4",
                "",
            ),
        }
    };
    sql.query(
        text,
        &[Value::Int(repo.0), Value::Text(collection.as_str()), Value::Text(bound), Value::Int(page.limit)],
        &mut |row| each(row.text(0)?, cid(row, 1)?, row.blob(2)?),
    )
}

/// The collections that hold at least one record, in order. Skips from one to the next, whatever their sizes.
pub fn collections(sql: &dyn Sql, repo: RepoId) -> Result<Vec<String>, SqlError> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().map_or("", String::as_str);
        let next = one(
            sql,
            "SELECT collection FROM record WHERE account = ?1 AND collection > ?2 ORDER BY collection LIMIT 1",
            &[Value::Int(repo.0), Value::Text(after)],
            |row| Ok(row.text(0)?.to_owned()),
        )?;
        match next {
            Some(collection) => found.push(collection),
            None => return Ok(found),
        }
    }
}

/// Writes a record, in place of one that is there.
pub fn put(
    sql: &dyn Sql,
    repo: RepoId,
    (collection, rkey): (&str, &str),
    rev: Tid,
    cid: &Cid,
    body: &[u8],
) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO record (account, collection, rkey, rev, cid, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT DO UPDATE SET rev = excluded.rev, cid = excluded.cid, body = excluded.body",
        &[
            Value::Int(repo.0),
            Value::Text(collection),
            Value::Text(rkey),
            Value::Text(&rev.to_string()),
            Value::Blob(cid.as_bytes()),
            Value::Blob(body),
        ],
    )?;
    Ok(())
}

/// Removes a record.
pub fn delete(sql: &dyn Sql, repo: RepoId, (collection, rkey): (&str, &str)) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM record WHERE account = ?1 AND collection = ?2 AND rkey = ?3",
        &[Value::Int(repo.0), Value::Text(collection), Value::Text(rkey)],
    )?;
    Ok(())
}
