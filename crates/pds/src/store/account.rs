//! Accounts: who is hosted here.

use super::{column_error, one, parsed, scalar, text_or_null};
use crate::ports::{RepoId, Row, Sql, SqlError, Value};
use rookery_atproto::syntax::{Did, Handle};
use rookery_auth::jwk::Thumbprint;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whether an account's repo is served, in the words of `com.atproto.sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Served and writable.
    Active,
    /// Put to rest by its agent.
    Deactivated,
    /// Put to rest by the operator, for a time.
    Suspended,
    /// Taken down by the operator.
    Takendown,
    /// Gone.
    Deleted,
}

impl Status {
    /// The word of the protocol; an active repo has none.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            Self::Deactivated => Some("deactivated"),
            Self::Suspended => Some("suspended"),
            Self::Takendown => Some("takendown"),
            Self::Deleted => Some("deleted"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word().unwrap_or("active"))
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Active, Self::Deactivated, Self::Suspended, Self::Takendown, Self::Deleted]
            .into_iter()
            .find(|status| status.to_string() == word)
            .ok_or_else(|| format!("unknown account status {word:?}"))
    }
}

/// An account, without its secrets.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its number in every table.
    pub id: RepoId,
    /// Its DID.
    pub did: Did,
    /// Its handle; none after deletion.
    pub handle: Option<Handle>,
    /// Whether it is served.
    pub status: Status,
}

impl Account {
    fn read(row: &dyn Row) -> Result<Self, SqlError> {
        Ok(Self {
            id: RepoId(row.int(0)?),
            did: parsed(row, 1)?,
            handle: if row.is_null(2)? { None } else { Some(parsed(row, 2)?) },
            status: row.text(3)?.parse().map_err(|error: String| column_error(3, error))?,
        })
    }
}

/// The account with this DID.
pub fn by_did(sql: &dyn Sql, did: &Did) -> Result<Option<Account>, SqlError> {
    one(
        sql,
        "SELECT id, did, handle, status FROM account WHERE did = ?1",
        &[Value::Text(did.as_str())],
        Account::read,
    )
}

/// The account with this handle.
pub fn by_handle(sql: &dyn Sql, handle: &Handle) -> Result<Option<Account>, SqlError> {
    one(
        sql,
        "SELECT id, did, handle, status FROM account WHERE handle = ?1",
        &[Value::Text(handle.as_str())],
        Account::read,
    )
}

/// The account of this key.
pub fn by_thumbprint(sql: &dyn Sql, thumbprint: &Thumbprint) -> Result<Option<Account>, SqlError> {
    one(
        sql,
        "SELECT id, did, handle, status FROM account WHERE thumbprint = ?1",
        &[Value::Blob(thumbprint.as_bytes())],
        Account::read,
    )
}

/// What a new account consists of.
pub struct NewAccount<'a> {
    /// Its DID.
    pub did: &'a Did,
    /// Its handle.
    pub handle: &'a Handle,
    /// The agent's key.
    pub thumbprint: &'a Thumbprint,
    /// The repo's signing key, sealed.
    pub signing_key: &'a [u8],
    /// The `ref` of the enrollment.
    pub entry_ref: Option<&'a str>,
    /// Microseconds.
    pub created_at: i64,
}

/// Adds an account, active. DID, handle and key are unique: a second one is a constraint error.
pub fn insert(sql: &dyn Sql, new: &NewAccount<'_>) -> Result<RepoId, SqlError> {
    sql.exec(
        "INSERT INTO account (did, handle, thumbprint, status, signing_key, entry_ref, created_at) \
         VALUES (?1, ?2, ?3, 'active', ?4, ?5, ?6)",
        &[
            Value::Text(new.did.as_str()),
            Value::Text(new.handle.as_str()),
            Value::Blob(new.thumbprint.as_bytes()),
            Value::Blob(new.signing_key),
            text_or_null(new.entry_ref),
            Value::Int(new.created_at),
        ],
    )?;
    let id = scalar(sql, "SELECT id FROM account WHERE did = ?1", &[Value::Text(new.did.as_str())])?;
    id.map(RepoId).ok_or_else(|| SqlError::Other("the account just inserted is not there".into()))
}

/// The account with this number.
pub fn by_id(sql: &dyn Sql, id: RepoId) -> Result<Option<Account>, SqlError> {
    one(sql, "SELECT id, did, handle, status FROM account WHERE id = ?1", &[Value::Int(id.0)], Account::read)
}

/// Up to `limit` accounts after one, in order.
pub fn list_after(sql: &dyn Sql, after: RepoId, limit: i64) -> Result<Vec<Account>, SqlError> {
    let mut accounts = Vec::new();
    sql.query(
        "SELECT id, did, handle, status FROM account WHERE id > ?1 ORDER BY id LIMIT ?2",
        &[Value::Int(after.0), Value::Int(limit)],
        &mut |row| {
            accounts.push(Account::read(row)?);
            Ok(())
        },
    )?;
    Ok(accounts)
}

/// How many accounts are active.
pub fn count_active(sql: &dyn Sql) -> Result<i64, SqlError> {
    Ok(scalar(sql, "SELECT count(*) FROM account WHERE status = 'active'", &[])?.unwrap_or(0))
}

/// Changes whether an account is served.
pub fn set_status(sql: &dyn Sql, id: RepoId, status: Status) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE account SET status = ?2 WHERE id = ?1",
        &[Value::Int(id.0), Value::Text(&status.to_string())],
    )?;
    Ok(())
}

/// Gives an account another handle, or none. One that is taken is a constraint error.
pub fn set_handle(sql: &dyn Sql, id: RepoId, handle: Option<&Handle>) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE account SET handle = ?2 WHERE id = ?1",
        &[Value::Int(id.0), text_or_null(handle.map(Handle::as_str))],
    )?;
    Ok(())
}
