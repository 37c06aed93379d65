//! Accounts in stores of their own, as the log that they share knows them.

use super::{accounts, one, scalar};
use crate::ports::{Listed, Page, RepoId, Sql, SqlError, Value};
use rookery_atproto::syntax::{Did, Nsid};

/// What is known of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosted {
    /// Its number here.
    pub id: RepoId,
    /// Its last event that came, by the account's own count.
    pub delivered: i64,
}

/// The account with this DID.
pub fn get(sql: &dyn Sql, did: &Did) -> Result<Option<Hosted>, SqlError> {
    let text = "SELECT id, delivered FROM hosted WHERE did = ?1";
    one(sql, text, &[Value::Text(did.as_str())], |row| {
        Ok(Hosted { id: RepoId(row.int(0)?), delivered: row.int(1)? })
    })
}

/// Adds an account.
pub fn insert(sql: &dyn Sql, account: &Listed, delivered: i64) -> Result<Hosted, SqlError> {
    sql.exec(
        "INSERT INTO hosted (did, delivered, rev, head, status) VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            Value::Text(account.did.as_str()),
            Value::Int(delivered),
            Value::Text(&account.rev.to_string()),
            Value::Blob(account.commit.as_bytes()),
            Value::Text(&account.status.to_string()),
        ],
    )?;
    get(sql, &account.did)?.ok_or_else(|| SqlError::Other("the account just inserted is not there".into()))
}

/// Puts an account as it is now in place of what was known.
pub fn update(sql: &dyn Sql, id: RepoId, account: &Listed, delivered: i64) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE hosted SET delivered = ?2, rev = ?3, head = ?4 WHERE id = ?1",
        &[
            Value::Int(id.0),
            Value::Int(delivered),
            Value::Text(&account.rev.to_string()),
            Value::Blob(account.commit.as_bytes()),
        ],
    )?;
    // Apart, so that the index of active accounts is written only when it changes.
    sql.exec(
        "UPDATE hosted SET status = ?2 WHERE id = ?1 AND status <> ?2",
        &[Value::Int(id.0), Value::Text(&account.status.to_string())],
    )?;
    Ok(())
}

/// Notes whether an account has records in a collection.
pub fn set_collection(sql: &dyn Sql, id: RepoId, collection: &Nsid, has: bool) -> Result<(), SqlError> {
    let text = if has {
        "INSERT INTO hosted_collection (collection, hosted) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM hosted_collection WHERE collection = ?1 AND hosted = ?2"
    };
    sql.exec(text, &[Value::Text(collection.as_str()), Value::Int(id.0)]).map(drop)
}

/// Up to `limit` accounts after the number `after`, deleted ones left out.
pub fn list(sql: &dyn Sql, after: i64, limit: i64) -> Result<Page<Listed>, SqlError> {
    let mut page = Page { entries: Vec::new(), last: None };
    sql.query(
        "SELECT id, did, status, head, rev FROM hosted \
         WHERE id > ?1 AND status <> 'deleted' ORDER BY id LIMIT ?2",
        &[Value::Int(after), Value::Int(limit)],
        &mut |row| {
            page.last = Some(row.int(0)?);
            page.entries.push(super::repo::listed(row)?);
            Ok(())
        },
    )?;
    Ok(page)
}

/// Up to `limit` active accounts with records in a collection, those after the number `after`.
pub fn list_by_collection(
    sql: &dyn Sql,
    collection: &Nsid,
    after: i64,
    limit: i64,
) -> Result<Page<Did>, SqlError> {
    accounts(
        sql,
        "SELECT c.hosted, h.did FROM hosted_collection c JOIN hosted h ON h.id = c.hosted \
         WHERE c.collection = ?1 AND c.hosted > ?2 AND h.status = 'active' ORDER BY c.hosted LIMIT ?3",
        &[Value::Text(collection.as_str()), Value::Int(after), Value::Int(limit)],
    )
}

/// How many accounts are active.
pub fn count_active(sql: &dyn Sql) -> Result<i64, SqlError> {
    Ok(scalar(sql, "SELECT count(*) FROM hosted WHERE status = 'active'", &[])?.unwrap_or(0))
}
