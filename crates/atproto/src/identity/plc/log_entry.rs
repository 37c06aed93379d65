//! An entry of the audit log.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, PlcError};
use crate::data::cid::Cid;
use crate::syntax::Did;

/// An accepted operation and what the directory notes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Whose it is.
    pub did: Did,
    /// The operation.
    pub operation: Operation,
    /// Its CID; kept, since it is asked for far more often than it is computed.
    pub cid: Cid,
    /// Whether a recovery took it out of the active log.
    pub nullified: bool,
    /// When the directory accepted it. Logs show milliseconds, so that a directory notes whole ones.
    pub created_at_micros: i64,
}

impl LogEntry {
    /// Reads an entry of `/{did}/log/audit` or `/export`. Whether it tells the truth is for [`super::verify_log`].
    pub fn from_audit_json(entry: &Value) -> Result<LogEntry, PlcError> {
        let wire = Wire::deserialize(entry).map_err(|error| PlcError::NotAnOperation(error.to_string()))?;
        let created_at: Timestamp = wire
            .created_at
            .parse()
            .map_err(|_| PlcError::NotAnOperation("createdAt is not a datetime".to_owned()))?;
        Ok(LogEntry {
            did: wire.did,
            operation: wire.operation,
            cid: wire.cid,
            nullified: wire.nullified,
            created_at_micros: created_at.as_microsecond(),
        })
    }

    /// The entry as `/{did}/log/audit` shows it.
    pub fn to_audit_json(&self) -> Value {
        json!({
            "did": self.did,
            "operation": self.operation,
            "cid": self.cid.to_string(),
            "nullified": self.nullified,
            "createdAt": self.created_at(),
        })
    }

    /// The time of acceptance as ISO 8601 with milliseconds.
    pub fn created_at(&self) -> String {
        Timestamp::from_microsecond(self.created_at_micros)
            .unwrap_or(Timestamp::MAX)
            .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    did: Did,
    operation: Operation,
    cid: Cid,
    nullified: bool,
    created_at: String,
}
