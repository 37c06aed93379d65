//! Every SQL statement of the server, one file per table family.
//!
//! All functions run inside a job (see [`crate::ports::Engine`]) and see one consistent snapshot. The limits that the
//! text and the parameters respect are those of a Durable Object: DESIGN, "Limits the shared SQL must respect".

pub mod account;
pub mod blob;
pub mod block;
pub mod collection;
pub mod event;
pub mod hosted;
pub mod plc;
pub mod proof;
pub mod record;
pub mod repo;
pub mod restored;
pub mod secret;
pub mod signup;
pub mod told_relay;
pub mod tree;

use crate::ports::{Page, Row, Sql, SqlError, Value};
use rookery_atproto::data::cid::Cid;
use rookery_atproto::syntax::Did;
use std::str::FromStr;

/// One step of the schema; steps are only ever added.
struct Migration {
    version: i64,
    files: &'static [&'static str],
}

/// Whose tables a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Those of accounts, one or many.
    Accounts,
    /// Those of the log that many stores share.
    SharedLog,
}

impl Schema {
    fn migrations(self) -> &'static [Migration] {
        match self {
            Self::Accounts => ACCOUNTS,
            Self::SharedLog => SHARED_LOG,
        }
    }
}

const ACCOUNTS: &[Migration] = &[
    Migration {
        version: 1,
        files: &[
            include_str!("schema/account.sql"),
            include_str!("schema/repo.sql"),
            include_str!("schema/plc.sql"),
        ],
    },
    Migration {
        version: 2,
        files: &[
            include_str!("schema/event.sql"),
            include_str!("schema/relay.sql"),
            include_str!("schema/collection.sql"),
            include_str!("schema/blob.sql"),
        ],
    },
    Migration {
        version: 3,
        files: &[
            include_str!("schema/recent.sql"),
            include_str!("schema/restored.sql"),
            include_str!("schema/proof_floor.sql"),
        ],
    },
];

const SHARED_LOG: &[Migration] = &[
    Migration { version: 1, files: &[include_str!("schema/event.sql"), include_str!("schema/hosted.sql")] },
    Migration { version: 2, files: &[include_str!("schema/told_relay.sql")] },
];

/// Brings an empty or older database to the schema of this version. Runs in one transaction; a database written by a
/// newer version is refused. True when it was empty.
pub fn migrate(sql: &dyn Sql, schema: Schema) -> Result<bool, SqlError> {
    let migrations = schema.migrations();
    sql.exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT", &[])?;
    let at = scalar(sql, "SELECT coalesce(max(version), 0) FROM schema_version", &[])?.unwrap_or(0);
    let newest = migrations.iter().map(|m| m.version).max().unwrap_or(0);
    if at > newest {
        return Err(SqlError::Other(format!(
            "the data directory has schema version {at}, this program knows versions up to {newest}: use the newer program"
        )));
    }
    for migration in migrations.iter().filter(|m| m.version > at) {
        for statement in migration.files.iter().flat_map(|file| statements(file)) {
            sql.exec(statement, &[])?;
        }
        sql.exec("INSERT INTO schema_version (version) VALUES (?1)", &[Value::Int(migration.version)])?;
    }
    Ok(at == 0)
}

/// True for a database that was never brought to a schema.
pub fn is_empty(sql: &dyn Sql) -> Result<bool, SqlError> {
    let text = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'";
    Ok(scalar(sql, text, &[])? == Some(0))
}

/// The statements of a schema file; each ends with `;` at the end of a line.
fn statements(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}

/// The first column of the first row, as an integer.
fn scalar(sql: &dyn Sql, text: &'static str, params: &[Value<'_>]) -> Result<Option<i64>, SqlError> {
    one(sql, text, params, |row| row.int(0))
}

/// The first row, if there is one.
fn one<T>(
    sql: &dyn Sql,
    text: &'static str,
    params: &[Value<'_>],
    read: impl Fn(&dyn Row) -> Result<T, SqlError>,
) -> Result<Option<T>, SqlError> {
    let mut found = None;
    sql.query(text, params, &mut |row| {
        if found.is_none() {
            found = Some(read(row)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// A page of accounts: a query's rows are their numbers, which it goes by, and their DIDs.
fn accounts(sql: &dyn Sql, text: &'static str, params: &[Value<'_>]) -> Result<Page<Did>, SqlError> {
    let mut page = Page { entries: Vec::new(), last: None };
    sql.query(text, params, &mut |row| {
        page.last = Some(row.int(0)?);
        page.entries.push(parsed(row, 1)?);
        Ok(())
    })?;
    Ok(page)
}

/// An optional text parameter.
fn text_or_null(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}

/// A CID column.
fn cid(row: &dyn Row, column: usize) -> Result<Cid, SqlError> {
    Cid::from_bytes(row.blob(column)?).map_err(|error| column_error(column, error))
}

/// A text column that must parse.
fn parsed<T: FromStr>(row: &dyn Row, column: usize) -> Result<T, SqlError>
where
    T::Err: std::fmt::Display,
{
    row.text(column)?.parse().map_err(|error| column_error(column, error))
}

fn column_error(column: usize, problem: impl std::fmt::Display) -> SqlError {
    SqlError::Column { column, problem: problem.to_string() }
}

/// True while there is something that is kept for a time only: reservations, proofs, blobs that nothing refers to.
pub fn has_something_to_forget(sql: &dyn Sql) -> Result<bool, SqlError> {
    let text = "SELECT EXISTS (SELECT 1 FROM pending_signup) OR EXISTS (SELECT 1 FROM used_proof) \
                OR EXISTS (SELECT 1 FROM blob_garbage) OR EXISTS (SELECT 1 FROM blob WHERE released_at IS NOT NULL)";
    Ok(scalar(sql, text, &[])?.unwrap_or(0) != 0)
}

/// Reads something.
pub fn ping(sql: &dyn Sql) -> Result<(), SqlError> {
    scalar(sql, "SELECT version FROM schema_version LIMIT 1", &[]).map(drop)
}
