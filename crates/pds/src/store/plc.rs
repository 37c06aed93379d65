//! The operation log of the embedded directory.

use super::{column_error, parsed};
use crate::ports::{Sql, SqlError, Value};
use rookery_atproto::data::cid::Cid;
use rookery_atproto::identity::plc::{LogEntry, Operation};
use rookery_atproto::syntax::Did;

/// Every operation of `did`, oldest first; none when it is not registered.
pub fn log(sql: &dyn Sql, did: &Did) -> Result<Vec<LogEntry>, SqlError> {
    let mut entries = Vec::new();
    sql.query(
        "SELECT operation, cid, nullified, created_at FROM plc_operation WHERE did = ?1 ORDER BY position",
        &[Value::Text(did.as_str())],
        &mut |row| {
            entries.push(LogEntry {
                did: did.clone(),
                operation: Operation::from_json(row.text(0)?.as_bytes())
                    .map_err(|error| column_error(0, error))?,
                cid: parsed(row, 1)?,
                nullified: row.int(2)? != 0,
                created_at_micros: row.int(3)?,
            });
            Ok(())
        },
    )?;
    Ok(entries)
}

/// Appends an accepted operation and marks those it nullifies.
pub fn append(sql: &dyn Sql, position: usize, entry: &LogEntry, nullified: &[Cid]) -> Result<(), SqlError> {
    let did = entry.did.as_str();
    for cid in nullified {
        sql.exec(
            "UPDATE plc_operation SET nullified = 1 WHERE did = ?1 AND cid = ?2",
            &[Value::Text(did), Value::Text(&cid.to_string())],
        )?;
    }
    sql.exec(
        "INSERT INTO plc_operation (did, position, operation, cid, nullified, created_at) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        &[
            Value::Text(did),
            Value::Int(i64::try_from(position).map_err(|error| SqlError::Other(error.to_string()))?),
            Value::Text(&entry.operation.to_json().to_string()),
            Value::Text(&entry.cid.to_string()),
            Value::Int(entry.created_at_micros),
        ],
    )?;
    Ok(())
}
