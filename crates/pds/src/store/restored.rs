//! The mark of a backup: whoever starts on it has to tell every account anew.

use super::scalar;
use crate::ports::{RepoId, Sql, SqlError, Value};

/// Marks a copy of a database as a backup.
pub fn mark(sql: &dyn Sql) -> Result<(), SqlError> {
    sql.exec("DELETE FROM restored", &[])?;
    sql.exec("INSERT INTO restored (after) VALUES (0)", &[])?;
    Ok(())
}

/// The last account that was told of; none when there is nothing to tell.
pub fn after(sql: &dyn Sql) -> Result<Option<RepoId>, SqlError> {
    Ok(scalar(sql, "SELECT after FROM restored", &[])?.map(RepoId))
}

/// Remembers the last account that was told of; none when all were.
pub fn told(sql: &dyn Sql, last: Option<RepoId>) -> Result<(), SqlError> {
    match last {
        Some(last) => sql.exec("UPDATE restored SET after = ?1", &[Value::Int(last.0)])?,
        None => sql.exec("DELETE FROM restored", &[])?,
    };
    Ok(())
}
