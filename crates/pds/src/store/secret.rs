//! Secrets of the server itself, sealed.

use super::one;
use crate::ports::{Sql, SqlError, Value};

/// The sealed secret called `name`.
pub fn get(sql: &dyn Sql, name: &str) -> Result<Option<Vec<u8>>, SqlError> {
    one(sql, "SELECT sealed FROM server_secret WHERE name = ?1", &[Value::Text(name)], |row| {
        Ok(row.blob(0)?.to_vec())
    })
}

/// Keeps a sealed secret; one that exists is a constraint error.
pub fn insert(sql: &dyn Sql, name: &str, sealed: &[u8]) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO server_secret (name, sealed) VALUES (?1, ?2)",
        &[Value::Text(name), Value::Blob(sealed)],
    )?;
    Ok(())
}
