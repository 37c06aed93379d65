//! Proofs that writes consumed (DESIGN, invariant 7).

use crate::ports::{Sql, SqlError, Value};

/// Marks a proof as used. False when it was used before, in this run of the server or an earlier one.
pub fn consume(sql: &dyn Sql, iat: i64, digest: &[u8; 16]) -> Result<bool, SqlError> {
    let inserted = sql.exec(
        "INSERT INTO used_proof (iat, digest) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        &[Value::Int(iat), Value::Blob(digest)],
    )?;
    Ok(inserted == 1)
}

/// Forgets proofs issued before `iat` (seconds), at most `limit` of them, and says how many.
pub fn forget_before(sql: &dyn Sql, iat: i64, limit: i64) -> Result<u64, SqlError> {
    sql.exec(
        "DELETE FROM used_proof WHERE (iat, digest) IN \
         (SELECT iat, digest FROM used_proof WHERE iat < ?1 ORDER BY iat, digest LIMIT ?2)",
        &[Value::Int(iat), Value::Int(limit)],
    )
}
