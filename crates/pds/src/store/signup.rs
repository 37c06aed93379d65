//! Enrollments under way: the reservation that makes a signup that fails half-way leave nothing, or resume.
//!
//! Where the directory is elsewhere, the row stays beside the account until that is settled there.

use super::{column_error, one, parsed, text_or_null};
use crate::ports::{Entry, Row, Sql, SqlError, Value};
use rookery_atproto::syntax::{Did, Handle};
use rookery_auth::jwk::Thumbprint;

/// A reservation.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The handle it holds.
    pub handle: Handle,
    /// The DID of its genesis operation.
    pub did: Did,
    /// The repo's signing key, sealed.
    pub signing_key: Vec<u8>,
    /// The recovery key asked for, as did:key.
    pub recovery: Option<String>,
    /// The signed genesis operation, JSON.
    pub operation: String,
}

/// The reservation of this key.
pub fn get(sql: &dyn Sql, thumbprint: &Thumbprint) -> Result<Option<Pending>, SqlError> {
    one(
        sql,
        "SELECT handle, did, signing_key, recovery, operation FROM pending_signup WHERE thumbprint = ?1",
        &[Value::Blob(thumbprint.as_bytes())],
        |row| {
            Ok(Pending {
                handle: parsed(row, 0)?,
                did: parsed(row, 1)?,
                signing_key: row.blob(2)?.to_vec(),
                recovery: if row.is_null(3)? { None } else { Some(row.text(3)?.to_owned()) },
                operation: row.text(4)?.to_owned(),
            })
        },
    )
}

/// True when an account holds `handle`, or a reservation made at or after `fresh_since` (microseconds) by another key.
pub fn handle_taken(
    sql: &dyn Sql,
    handle: &Handle,
    thumbprint: &Thumbprint,
    fresh_since: i64,
) -> Result<bool, SqlError> {
    let taken = one(
        sql,
        "SELECT 1 FROM account WHERE handle = ?1 UNION ALL \
         SELECT 1 FROM pending_signup WHERE handle = ?1 AND thumbprint <> ?2 AND created_at >= ?3 LIMIT 1",
        &[Value::Text(handle.as_str()), Value::Blob(thumbprint.as_bytes()), Value::Int(fresh_since)],
        |row| row.int(0),
    )?;
    Ok(taken.is_some())
}

/// Reserves, in place of any earlier reservation by this key or an abandoned one of this handle.
pub fn reserve(sql: &dyn Sql, thumbprint: &Thumbprint, pending: &Pending, now: i64) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM pending_signup WHERE handle = ?1 OR thumbprint = ?2",
        &[Value::Text(pending.handle.as_str()), Value::Blob(thumbprint.as_bytes())],
    )?;
    sql.exec(
        "INSERT INTO pending_signup (thumbprint, handle, did, signing_key, recovery, operation, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            Value::Blob(thumbprint.as_bytes()),
            Value::Text(pending.handle.as_str()),
            Value::Text(pending.did.as_str()),
            Value::Blob(&pending.signing_key),
            text_or_null(pending.recovery.as_deref()),
            Value::Text(&pending.operation),
            Value::Int(now),
        ],
    )?;
    Ok(())
}

/// Takes the reservation for `did` away, if it is still there.
pub fn release(sql: &dyn Sql, did: &Did) -> Result<(), SqlError> {
    sql.exec("DELETE FROM pending_signup WHERE did = ?1", &[Value::Text(did.as_str())]).map(drop)
}

/// What is to be settled in the directory for the account of this key.
pub fn unsettled_of(sql: &dyn Sql, thumbprint: &Thumbprint) -> Result<Option<Entry>, SqlError> {
    one(
        sql,
        "SELECT p.thumbprint, p.did, p.handle FROM pending_signup p JOIN account a ON a.thumbprint = p.thumbprint \
         WHERE p.thumbprint = ?1",
        &[Value::Blob(thumbprint.as_bytes())],
        entry,
    )
}

/// What is to be settled in the directory.
pub fn unsettled(sql: &dyn Sql) -> Result<Vec<Entry>, SqlError> {
    let mut entries = Vec::new();
    sql.query(
        "SELECT p.thumbprint, p.did, p.handle FROM pending_signup p JOIN account a ON a.thumbprint = p.thumbprint",
        &[],
        &mut |row| {
            entries.push(entry(row)?);
            Ok(())
        },
    )?;
    Ok(entries)
}

fn entry(row: &dyn Row) -> Result<Entry, SqlError> {
    let thumbprint = row.blob(0)?.try_into().map_err(|error| column_error(0, error))?;
    Ok(Entry {
        thumbprint: Thumbprint::from_bytes(thumbprint),
        did: parsed(row, 1)?,
        handle: parsed(row, 2)?,
    })
}

/// Forgets reservations made before `time` (microseconds): nobody came back to resume them.
pub fn forget_before(sql: &dyn Sql, time: i64) -> Result<u64, SqlError> {
    sql.exec(
        "DELETE FROM pending_signup WHERE created_at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM account WHERE account.thumbprint = pending_signup.thumbprint)",
        &[Value::Int(time)],
    )
}
