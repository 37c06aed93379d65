//! The embedded development directory: the rules of the real one, kept in this server's store.
//!
//! Only in local mode: it lets a laptop enroll agents and lets others verify them without the internet. A DID registered here
//! exists nowhere else.

use super::DirectoryError;
use crate::app::App;
use crate::ports::{Mode, Sql, run};
use crate::store;
use rookery_atproto::identity::plc::{DidData, LogEntry, Operation, PlcError, admit, render_did_doc};
use rookery_atproto::syntax::Did;
use serde_json::Value;

/// Registers an operation of this server. The one that is in force already is done, also when two requests of one agent
/// bring it at once.
pub(crate) async fn submit(app: &App, did: Did, operation: Operation) -> Result<(), DirectoryError> {
    let now = app.now_micros();
    run(app.ports.engine.as_ref(), Mode::Write, move |sql| {
        let log = store::plc::log(sql, &did)?;
        let in_force = log.iter().rev().find(|entry| !entry.nullified);
        if in_force.is_some_and(|entry| entry.cid == operation.cid()) {
            return Ok(());
        }
        append(sql, &log, &did, &operation, now)
    })
    .await
}

/// Registers an operation, if the rules allow.
pub(crate) async fn admit_new(app: &App, did: Did, operation: Operation) -> Result<(), DirectoryError> {
    let now = app.now_micros();
    run(app.ports.engine.as_ref(), Mode::Write, move |sql| {
        append(sql, &store::plc::log(sql, &did)?, &did, &operation, now)
    })
    .await
}

fn append(
    sql: &dyn Sql,
    log: &[LogEntry],
    did: &Did,
    operation: &Operation,
    now: i64,
) -> Result<(), DirectoryError> {
    let admitted = admit(log, did, operation, now)?;
    Ok(store::plc::append(sql, log.len(), &admitted.entry, &admitted.nullified)?)
}

/// The DID document.
pub(crate) async fn document(app: &App, did: Did) -> Result<Value, DirectoryError> {
    let data = data(app, did.clone()).await?;
    Ok(render_did_doc(&did, &data))
}

/// What the DID currently says.
pub(crate) async fn data(app: &App, did: Did) -> Result<DidData, DirectoryError> {
    let last = last(app, did.clone()).await?;
    DidData::of(&last).ok_or_else(|| PlcError::NotAvailable(did).into())
}

/// The operation that is in force.
pub(crate) async fn last(app: &App, did: Did) -> Result<Operation, DirectoryError> {
    let entries = audit(app, did.clone()).await?;
    let in_force = entries.into_iter().rev().find(|entry| !entry.nullified);
    in_force.map(|entry| entry.operation).ok_or_else(|| PlcError::NotRegistered(did).into())
}

/// Every operation, nullified ones too.
pub(crate) async fn audit(app: &App, did: Did) -> Result<Vec<LogEntry>, DirectoryError> {
    run(app.ports.engine.as_ref(), Mode::Read, move |sql: &dyn Sql| {
        let entries = store::plc::log(sql, &did)?;
        if entries.is_empty() { Err(PlcError::NotRegistered(did).into()) } else { Ok(entries) }
    })
    .await
}
