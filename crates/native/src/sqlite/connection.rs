//! Connections, and the `Sql` port on top of one.
//!
//! Statements are prepared once per connection and kept: the core's SQL is a fixed set of `&'static str`.
//!
//! Every error of SQLite passes through [`refusal`], which ends the process when the disk has failed to sync
//! ([decision](../../../../docs/decisions/0006-a-failed-sync-ends-the-process.md)).

use rookery_pds::ports::{Row, Sql, SqlError, Value};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi, params_from_iter};
use std::fs::OpenOptions;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// More than the core has statements.
const STATEMENTS: usize = 256;
/// Page caches in KiB. What is not in them is read from the operating system's cache.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 1024;
/// A log that a long read made grow is cut back to this many bytes.
const LOG_LIMIT: u32 = 64 * 1024 * 1024;
const BUSY: Duration = Duration::from_secs(1);
/// What disks and the operating system's cache work in. A commit copies each page it touches whole, so larger ones would
/// write more for the same few rows; smaller ones would be written as 4096 bytes all the same.
const PAGE: u32 = 4096;
/// Bytes that a page takes in the write-ahead log.
pub(super) const LOG_PAGE: u64 = PAGE as u64 + 24;

/// How many pages the write-ahead log has, as of the last commit.
pub(super) type LogPages = Arc<AtomicI32>;

/// Opens the database for writing, and creates it. `busy` bounds waiting for others that write.
///
/// The log of an earlier process is copied into the database and emptied. What that process wrote and did not sync may be on
/// disk or not, and whatever is appended behind it would be worth as little; what was copied and synced is there. Nothing is told
/// to anybody before.
pub(super) fn open_writer(path: &Path, busy: Duration) -> rusqlite::Result<(Connection, LogPages)> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    create_private(path);
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    // The page size only takes effect before the first page is written.
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = {LOG_LIMIT};
         PRAGMA cache_size = -{WRITER_CACHE_KIB};"
    ))?;
    // Refuses a file that is no database now rather than later.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    if !checkpoint(&connection, "PRAGMA wal_checkpoint(TRUNCATE)")? {
        tracing::warn!("somebody else reads the database: the log of the last run stays as it is");
    }
    let pages = LogPages::default();
    let told = Arc::clone(&pages);
    connection.wal_hook(Some(move |_: &mut Wal, pages| {
        told.store(pages, Ordering::Relaxed);
        Ok(())
    }))?;
    Ok((prepare(connection)?, pages))
}

/// Copies the log into the database. Whether all of it could be: a reader may need what would be overwritten.
pub(super) fn checkpoint(connection: &Connection, how: &'static str) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(how)?;
    let (busy, pages, copied): (i64, i64, i64) =
        statement.query_row((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(busy == 0 && pages == copied)
}

/// The file is the owner's alone, whoever can enter its directory; SQLite gives its log the same mode. What goes wrong
/// here goes wrong again when SQLite opens it, and is told then.
pub(super) fn create_private(path: &Path) {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

/// Opens the database, which exists, for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Only for the moments in which the log is made anew; readers and the writer do not wait for each other.
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(&format!("PRAGMA cache_size = -{READER_CACHE_KIB};"))?;
    prepare(connection)
}

fn prepare(connection: Connection) -> rusqlite::Result<Connection> {
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )?;
    // Plans depend on the text alone. Otherwise some statements are planned anew for each value they are run with.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Runs a statement of the host's own, such as `BEGIN`.
pub(super) fn control(connection: &Connection, sql: &'static str) -> Result<(), SqlError> {
    execute(connection, sql).map_err(|error| refusal(&error))
}

/// The same, for those who need to know more of an error.
pub(super) fn execute(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(drop)
}

/// Undoes what is open, if anything is: some errors (a full disk) end the transaction by themselves.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = control(connection, "ROLLBACK")
    {
        tracing::error!(%error, "could not roll back");
    }
}

/// What the core is told about an error. Does not come back when the disk has failed to sync.
pub(super) fn refusal(error: &rusqlite::Error) -> SqlError {
    if matches!(extended(error), Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)) {
        end_the_process(error);
    }
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => SqlError::Constraint(text),
        Some(ErrorCode::DiskFull) => SqlError::Full(text),
        _ => SqlError::Other(text),
    }
}

/// Whether a commit that failed so is not in the log for certain, and will not be there after a restart either. Others may have
/// written all of it before they failed.
pub(super) fn is_undone(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => extended(error) == Some(ffi::SQLITE_IOERR_WRITE),
        Some(code) => code != ErrorCode::OutOfMemory,
        None => true,
    }
}

fn extended(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

/// Nobody gets an answer that might be wrong. The next process reads what is there, and makes it durable before it serves.
pub(super) fn end_the_process(error: &rusqlite::Error) -> ! {
    tracing::error!(
        %error,
        "the disk did not keep what was written: what is in memory and what is on disk may differ. The server ends here; \
         start it again, and look after the disk"
    );
    process::exit(1)
}

/// The port: a connection inside a transaction.
pub(super) struct Session<'a>(pub(super) &'a Connection);

impl Sql for Session<'_> {
    fn exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, SqlError> {
        let run = || self.0.prepare_cached(sql)?.execute(params_from_iter(params.iter().map(Param)));
        let changed = run().map_err(|error| refusal(&error))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let mut statement = self.0.prepare_cached(sql).map_err(|error| refusal(&error))?;
        let mut rows =
            statement.query(params_from_iter(params.iter().map(Param))).map_err(|error| refusal(&error))?;
        while let Some(row) = rows.next().map_err(|error| refusal(&error))? {
            each(&Columns(row))?;
        }
        Ok(())
    }
}

struct Param<'a>(&'a Value<'a>);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(int),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

struct Columns<'a>(&'a rusqlite::Row<'a>);

impl Columns<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, SqlError> {
        self.0.get_ref(column).map_err(|error| SqlError::Column { column, problem: error.to_string() })
    }
}

fn mismatch(column: usize, wanted: &str, found: ValueRef<'_>) -> SqlError {
    SqlError::Column { column, problem: format!("expected {wanted}, found {}", found.data_type()) }
}

impl Row for Columns<'_> {
    fn int(&self, i: usize) -> Result<i64, SqlError> {
        match self.value(i)? {
            ValueRef::Integer(int) => Ok(int),
            other => Err(mismatch(i, "an integer", other)),
        }
    }

    fn text(&self, i: usize) -> Result<&str, SqlError> {
        match self.value(i)? {
            ValueRef::Text(text) => std::str::from_utf8(text)
                .map_err(|error| SqlError::Column { column: i, problem: error.to_string() }),
            other => Err(mismatch(i, "text", other)),
        }
    }

    fn blob(&self, i: usize) -> Result<&[u8], SqlError> {
        match self.value(i)? {
            ValueRef::Blob(bytes) => Ok(bytes),
            other => Err(mismatch(i, "bytes", other)),
        }
    }

    fn is_null(&self, i: usize) -> Result<bool, SqlError> {
        Ok(matches!(self.value(i)?, ValueRef::Null))
    }
}
