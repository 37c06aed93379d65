//! Proofs that writes consumed (DESIGN, invariant 7).

use super::scalar;
use crate::ports::{Sql, SqlError, Value};
use std::ops::RangeInclusive;

/// Marks a proof as used. False when it was used before, in this run of the server or an earlier one.
pub fn consume(sql: &dyn Sql, iat: i64, digest: &[u8; 16]) -> Result<bool, SqlError> {
    let inserted = sql.exec(
        "INSERT INTO used_proof (iat, digest) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        &[Value::Int(iat), Value::Blob(digest)],
    )?;
    Ok(inserted == 1)
}

/// What earlier runs of the server leave to tell of the proofs that they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Proofs from before this second may have been forgotten.
    pub floor: i64,
    /// The second of the newest that is remembered.
    pub newest: i64,
}

/// What is remembered.
pub fn left(sql: &dyn Sql) -> Result<Left, SqlError> {
    let floor = scalar(sql, "SELECT iat FROM proof_floor", &[])?.unwrap_or(0);
    let newest = scalar(sql, "SELECT iat FROM used_proof ORDER BY iat DESC LIMIT 1", &[])?;
    Ok(Left { floor, newest: newest.unwrap_or(0) })
}

/// Forgets proofs issued before `iat` (seconds) but those issued in the seconds of `kept`, at most `limit` of them, and says how
/// many.
pub fn forget_before(
    sql: &dyn Sql,
    iat: i64,
    kept: &RangeInclusive<i64>,
    limit: i64,
) -> Result<u64, SqlError> {
    sql.exec("UPDATE proof_floor SET iat = max(iat, ?1)", &[Value::Int(iat)])?;
    sql.exec(
        "DELETE FROM used_proof WHERE (iat, digest) IN \
         (SELECT iat, digest FROM used_proof WHERE iat < ?1 AND iat NOT BETWEEN ?2 AND ?3 \
         ORDER BY iat, digest LIMIT ?4)",
        &[Value::Int(iat), Value::Int(*kept.start()), Value::Int(*kept.end()), Value::Int(limit)],
    )
}
