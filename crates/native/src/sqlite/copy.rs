//! Copies of a database that a server may be using.

use super::connection::{control, create_private, open_reader, open_writer, refusal};
use super::with_sql;
use rookery_pds::ports::{Sql, SqlError};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::Path;
use std::time::Duration;

/// Pages copied between two calls of `progress`: 16 MiB.
const STEP: i32 = 4096;
/// Nobody else uses the copy.
const BUSY: Duration = Duration::from_secs(5);

/// A database as it is at one moment, while others go on writing.
pub(crate) struct Snapshot(Connection);

impl Snapshot {
    /// Opens the database at `path` as it is now.
    pub(crate) fn open(path: &Path) -> Result<Self, SqlError> {
        let connection = open_reader(path).map_err(refused)?;
        control(&connection, "BEGIN")?;
        // The moment is that of the first read.
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(refused)?;
        Ok(Self(connection))
    }

    /// Reads in it.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&dyn Sql) -> Result<T, SqlError>) -> Result<T, SqlError> {
        with_sql(&self.0, body)
    }

    /// Writes it to a new file. `progress` is told how many bytes of how many are done.
    pub(crate) fn write_to(&self, path: &Path, mut progress: impl FnMut(u64, u64)) -> rusqlite::Result<()> {
        let page: i64 = self.0.query_row("PRAGMA page_size", (), |row| row.get(0))?;
        let page = page.unsigned_abs();
        create_private(path);
        let mut copy = Connection::open(path)?;
        let backup = Backup::new(&self.0, &mut copy)?;
        // The snapshot does not change, so that the copy is never begun anew.
        while backup.step(STEP)? != StepResult::Done {
            let so_far = backup.progress();
            let total = u64::try_from(so_far.pagecount).unwrap_or(0);
            let left = u64::try_from(so_far.remaining).unwrap_or(0);
            progress(total.saturating_sub(left) * page, total * page);
        }
        Ok(())
    }
}

/// Opens a copy, checks that it is whole, and runs `body` on it in one transaction.
pub(crate) fn open_copy(
    path: &Path,
    body: impl FnOnce(&dyn Sql) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let (connection, _) = open_writer(path, BUSY).map_err(refused)?;
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(refused)?;
    if found != "ok" {
        return Err(SqlError::Other(format!("the copy is damaged: {found}")));
    }
    control(&connection, "BEGIN IMMEDIATE")?;
    with_sql(&connection, body)?;
    control(&connection, "COMMIT")?;
    // The file alone is the copy.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).map_err(refused)?;
    connection.close().map_err(|(_, error)| refused(error))
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn refused(error: rusqlite::Error) -> SqlError {
    refusal(&error)
}
