//! Blobs: what there is, what refers to it, and what can go. The bytes are elsewhere (the `Blobs` port).
//!
//! Every object in the blob store is named by a row here from before it is there until after it is gone: in `blob_garbage`
//! before it is a blob's, in `blob`, and in `blob_garbage` again.

use super::{cid, column_error, one, parsed, scalar};
use crate::ports::{RepoId, Sql, SqlError, Value};
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::Tid;

/// A blob of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its object in the blob store.
    pub key: String,
    /// Its type, as it was uploaded.
    pub mime_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// True while a record refers to it.
    pub referenced: bool,
}

/// What of an account no record refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreferenced {
    /// How many blobs.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Where a record is: collection and record key.
pub type Path<'a> = (&'a str, &'a str);

/// A blob of an account, if it is there.
pub fn get(sql: &dyn Sql, account: RepoId, of: &Cid) -> Result<Option<Blob>, SqlError> {
    one(
        sql,
        "SELECT key, mime_type, size, released_at FROM blob WHERE account = ?1 AND cid = ?2",
        &[Value::Int(account.0), Value::Blob(of.as_bytes())],
        |row| {
            Ok(Blob {
                key: row.text(0)?.to_owned(),
                mime_type: row.text(1)?.to_owned(),
                size: unsigned(row.int(2)?, 2)?,
                referenced: row.is_null(3)?,
            })
        },
    )
}

/// How much of an account no record refers to.
pub fn unreferenced(sql: &dyn Sql, account: RepoId) -> Result<Unreferenced, SqlError> {
    let found = one(
        sql,
        "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE account = ?1 AND released_at IS NOT NULL",
        &[Value::Int(account.0)],
        |row| Ok(Unreferenced { count: unsigned(row.int(0)?, 0)?, bytes: unsigned(row.int(1)?, 1)? }),
    )?;
    Ok(found.unwrap_or(Unreferenced { count: 0, bytes: 0 }))
}

/// Announces an object that is about to be stored, and holds it for its upload.
pub fn hold(sql: &dyn Sql, key: &str, until: i64) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO blob_garbage (key, held_until) VALUES (?1, ?2)",
        &[Value::Text(key), Value::Int(until)],
    )?;
    Ok(())
}

/// Takes an object that is held, to make it a blob's in the same transaction. False when it was given up.
pub fn take_held(sql: &dyn Sql, key: &str) -> Result<bool, SqlError> {
    let taken =
        sql.exec("DELETE FROM blob_garbage WHERE key = ?1 AND held_until IS NOT NULL", &[Value::Text(key)])?;
    Ok(taken == 1)
}

/// Gives an object up that no blob has, if it has not been.
pub fn discard(sql: &dyn Sql, key: &str) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO blob_garbage (key, held_until) VALUES (?1, NULL) ON CONFLICT DO NOTHING",
        &[Value::Text(key)],
    )?;
    Ok(())
}

/// Adds a blob that is not there. It counts as released `now`, unless a record that was imported refers to it already.
pub fn insert(
    sql: &dyn Sql,
    account: RepoId,
    of: &Cid,
    blob: (&str, &str, u64),
    now: i64,
) -> Result<(), SqlError> {
    let (key, mime_type, size) = blob;
    let size = i64::try_from(size).map_err(|error| SqlError::Other(error.to_string()))?;
    sql.exec(
        "INSERT INTO blob (account, cid, key, mime_type, size, released_at) VALUES (?1, ?2, ?3, ?4, ?5, \
         CASE WHEN EXISTS (SELECT 1 FROM blob_ref WHERE account = ?1 AND cid = ?2) THEN NULL ELSE ?6 END)",
        &[
            Value::Int(account.0),
            Value::Blob(of.as_bytes()),
            Value::Text(key),
            Value::Text(mime_type),
            Value::Int(size),
            Value::Int(now),
        ],
    )?;
    Ok(())
}

/// Notes that a blob was uploaded again: its time begins anew and its type is what was said last, unless a record refers
/// to it.
pub fn renew(sql: &dyn Sql, account: RepoId, of: &Cid, mime_type: &str, now: i64) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE blob SET released_at = max(released_at, ?4), mime_type = ?3 \
         WHERE account = ?1 AND cid = ?2 AND released_at IS NOT NULL",
        &[Value::Int(account.0), Value::Blob(of.as_bytes()), Value::Text(mime_type), Value::Int(now)],
    )?;
    Ok(())
}

/// Notes that the record at a path refers to a blob.
pub fn refer(sql: &dyn Sql, account: RepoId, path: Path<'_>, rev: Tid, to: &Cid) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO blob_ref (account, collection, rkey, cid, rev) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO NOTHING",
        &[
            Value::Int(account.0),
            Value::Text(path.0),
            Value::Text(path.1),
            Value::Blob(to.as_bytes()),
            Value::Text(&rev.to_string()),
        ],
    )?;
    sql.exec(
        "UPDATE blob SET released_at = NULL WHERE account = ?1 AND cid = ?2 AND released_at IS NOT NULL",
        &[Value::Int(account.0), Value::Blob(to.as_bytes())],
    )?;
    Ok(())
}

/// Takes back what the record at a path refers to. Blobs that nothing else refers to are released `now`.
pub fn unrefer(sql: &dyn Sql, account: RepoId, path: Path<'_>, now: i64) -> Result<(), SqlError> {
    let mut cids = Vec::new();
    sql.query(
        "SELECT cid FROM blob_ref WHERE account = ?1 AND collection = ?2 AND rkey = ?3",
        &[Value::Int(account.0), Value::Text(path.0), Value::Text(path.1)],
        &mut |row| {
            cids.push(cid(row, 0)?);
            Ok(())
        },
    )?;
    if cids.is_empty() {
        return Ok(());
    }
    sql.exec(
        "DELETE FROM blob_ref WHERE account = ?1 AND collection = ?2 AND rkey = ?3",
        &[Value::Int(account.0), Value::Text(path.0), Value::Text(path.1)],
    )?;
    for cid in cids {
        sql.exec(
            "UPDATE blob SET released_at = ?3 WHERE account = ?1 AND cid = ?2 AND released_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM blob_ref WHERE account = ?1 AND cid = ?2)",
            &[Value::Int(account.0), Value::Blob(cid.as_bytes()), Value::Int(now)],
        )?;
    }
    Ok(())
}

/// A blob that records refer to.
pub struct Referenced {
    /// The blob.
    pub cid: Cid,
    /// The newest record that refers to it: its collection, its key, and the revision that wrote it.
    pub collection: String,
    /// See `collection`.
    pub rkey: String,
    /// See `collection`.
    pub rev: Tid,
    /// False when there is no such blob: an imported repo comes before its blobs.
    pub here: bool,
}

/// The first blob after `after`, in order of CID, that a record refers to. One step over an index, however many records
/// refer to the same.
pub fn next_referenced(
    sql: &dyn Sql,
    account: RepoId,
    after: Option<Cid>,
) -> Result<Option<Referenced>, SqlError> {
    one(
        sql,
        "SELECT r.cid, r.collection, r.rkey, r.rev, \
         EXISTS (SELECT 1 FROM blob b WHERE b.account = r.account AND b.cid = r.cid) \
         FROM blob_ref r WHERE r.account = ?1 AND r.cid > ?2 ORDER BY r.cid, r.rev DESC LIMIT 1",
        &[
            Value::Int(account.0),
            Value::Blob(after.as_ref().map_or(&[][..], |cid| cid.as_bytes().as_slice())),
        ],
        |row| {
            Ok(Referenced {
                cid: cid(row, 0)?,
                collection: row.text(1)?.to_owned(),
                rkey: row.text(2)?.to_owned(),
                rev: parsed(row, 3)?,
                here: row.int(4)? != 0,
            })
        },
    )
}

/// True when [`collect`] or [`give_up`] has something to do.
pub fn collectable(sql: &dyn Sql, released_before: i64, now: i64) -> Result<bool, SqlError> {
    let blob = scalar(
        sql,
        "SELECT 1 FROM blob WHERE released_at IS NOT NULL AND released_at < ?1 LIMIT 1",
        &[Value::Int(released_before)],
    )?;
    let held = scalar(
        sql,
        "SELECT 1 FROM blob_garbage WHERE held_until IS NOT NULL AND held_until < ?1 LIMIT 1",
        &[Value::Int(now)],
    )?;
    Ok(blob.or(held).is_some())
}

/// Ends up to `limit` of the blobs that nothing has referred to since a time, and says how many. Their objects can go.
pub fn collect(sql: &dyn Sql, released_before: i64, limit: i64) -> Result<u64, SqlError> {
    let mut blobs = Vec::new();
    sql.query(
        "SELECT account, cid, key FROM blob WHERE released_at IS NOT NULL AND released_at < ?1 \
         ORDER BY released_at LIMIT ?2",
        &[Value::Int(released_before), Value::Int(limit)],
        &mut |row| {
            blobs.push((row.int(0)?, cid(row, 1)?, row.text(2)?.to_owned()));
            Ok(())
        },
    )?;
    let mut collected = 0;
    for (account, cid, key) in &blobs {
        discard(sql, key)?;
        collected += sql.exec(
            "DELETE FROM blob WHERE account = ?1 AND cid = ?2",
            &[Value::Int(*account), Value::Blob(cid.as_bytes())],
        )?;
    }
    Ok(collected)
}

/// Gives up objects that were held until before `now`: their uploads failed. From here on no upload can take them.
pub fn give_up(sql: &dyn Sql, now: i64) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE blob_garbage SET held_until = NULL WHERE held_until IS NOT NULL AND held_until < ?1",
        &[Value::Int(now)],
    )?;
    Ok(())
}

/// Holds no object longer than until `until`: the process that wanted them is gone.
pub fn shorten_holds(sql: &dyn Sql, until: i64) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE blob_garbage SET held_until = ?1 WHERE held_until IS NOT NULL AND held_until > ?1",
        &[Value::Int(until)],
    )?;
    Ok(())
}

/// Keys of objects that can be deleted, in order, after one of them.
pub fn garbage(sql: &dyn Sql, after: &str, limit: i64) -> Result<Vec<String>, SqlError> {
    let mut keys = Vec::new();
    sql.query(
        "SELECT key FROM blob_garbage WHERE held_until IS NULL AND key > ?1 ORDER BY key LIMIT ?2",
        &[Value::Text(after), Value::Int(limit)],
        &mut |row| {
            keys.push(row.text(0)?.to_owned());
            Ok(())
        },
    )?;
    Ok(keys)
}

/// Forgets an object that has been deleted.
pub fn forget(sql: &dyn Sql, key: &str) -> Result<(), SqlError> {
    sql.exec("DELETE FROM blob_garbage WHERE key = ?1 AND held_until IS NULL", &[Value::Text(key)])?;
    Ok(())
}

fn unsigned(number: i64, column: usize) -> Result<u64, SqlError> {
    u64::try_from(number).map_err(|error| column_error(column, error))
}

/// Calls `each` with the key of each object that holds a blob, and whether a record refers to that.
pub fn keys(sql: &dyn Sql, each: &mut dyn FnMut(&str, bool) -> Result<(), SqlError>) -> Result<(), SqlError> {
    sql.query("SELECT key, released_at FROM blob", &[], &mut |row| each(row.text(0)?, row.is_null(1)?))
}

/// Forgets a blob that no record refers to, by the key of its object. Reads all of them.
pub fn forget_object(sql: &dyn Sql, key: &str) -> Result<(), SqlError> {
    sql.exec("DELETE FROM blob WHERE key = ?1 AND released_at IS NOT NULL", &[Value::Text(key)])?;
    Ok(())
}
