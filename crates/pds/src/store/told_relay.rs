//! What relays were told, where that must outlast the process.

use super::one;
use crate::ports::{Sql, SqlError, Value};

/// What was kept of a relay.
pub fn get(sql: &dyn Sql, origin: &str) -> Result<Option<String>, SqlError> {
    one(sql, "SELECT state FROM told_relay WHERE origin = ?1", &[Value::Text(origin)], |row| {
        Ok(row.text(0)?.to_owned())
    })
}

/// Keeps it.
pub fn set(sql: &dyn Sql, origin: &str, state: &str) -> Result<(), SqlError> {
    let text = "INSERT INTO told_relay (origin, state) VALUES (?1, ?2)
                ON CONFLICT (origin) DO UPDATE SET state = excluded.state";
    sql.exec(text, &[Value::Text(origin), Value::Text(state)])?;
    Ok(())
}
