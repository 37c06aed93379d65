//! The store of an object: its own SQLite database.
//!
//! A job runs between two events of the object and never awaits, so nothing else sees the database meanwhile. A write is one
//! `transactionSync`: whatever is thrown in it, a panic's trap too, rolls it back. The runtime holds back every answer, WebSocket
//! message and request to others until what was written before is durable (its *output gate*), so a job that has ended counts
//! as durable.
//!
//! Numbers pass through JavaScript: every integer is bound as a float, which SQLite makes an integer again wherever it is
//! compared with or kept in an integer column.

use crate::exports::Exports;
use crate::js::{Cursor, Database, Storage, text_of};
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::{self, StreamExt};
use rookery_pds::ports::{
    ByteStream, Engine, EngineError, Job, Mode, RepoId, Row, Sql, SqlError, StreamJob, Turn, Value, Written,
};
use std::cell::Cell;
use std::iter;
use std::rc::Rc;
use worker::js_sys::{Array, JsString, Number, Uint8Array};
use worker::send::SendWrapper;
use worker::wasm_bindgen::{JsCast, JsValue};

/// The store of one object.
#[derive(Clone)]
pub(crate) struct ObjectStore(SendWrapper<Rc<Inner>>);

struct Inner {
    storage: Storage,
    database: Database,
    exports: Exports,
    counted: Cell<Counted>,
}

/// What was done since the object was woken.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counted {
    transactions: u64,
    /// Rows read, as they are billed.
    pub(crate) read: u64,
    /// Rows written, as they are billed.
    pub(crate) written: u64,
}

impl ObjectStore {
    pub(crate) fn new(storage: Storage) -> Self {
        let (database, exports) = (storage.sql(), Exports::default());
        Self(SendWrapper::new(Rc::new(Inner { storage, database, exports, counted: Cell::default() })))
    }

    /// What was done so far.
    pub(crate) fn counted(&self) -> Counted {
        self.0.counted.get()
    }
}

impl Engine for ObjectStore {
    fn submit(&self, mode: Mode, job: Job) -> BoxFuture<'_, Result<(), EngineError>> {
        let outcome = match mode {
            Mode::Read => job(&**self.0),
            Mode::Write => self.0.transact(job),
        };
        ready(outcome.map_err(EngineError::from)).boxed()
    }

    fn stream(&self, job: Box<dyn StreamJob>) -> ByteStream {
        let source = SendWrapper::new((self.0.exports.start(job), Rc::clone(&*self.0)));
        let chunks = iter::from_fn(move || {
            let (export, sql) = &*source;
            export.next(&**sql)
        });
        stream::iter(chunks).boxed()
    }

    fn turn(&self, _: RepoId) -> BoxFuture<'_, Turn> {
        ready(Turn::free()).boxed()
    }

    fn written(&self) -> Written {
        let counted = self.counted();
        Written {
            commits: counted.transactions,
            jobs: counted.transactions,
            rows: counted.written,
            ..Written::default()
        }
    }
}

impl Inner {
    fn transact(&self, job: Job) -> Result<(), SqlError> {
        self.exports.finish(self);
        let (mut job, mut outcome) = (Some(job), None);
        let committed = self.storage.transaction_sync(&mut || {
            let Some(job) = job.take() else { return Err(JsValue::NULL) };
            let done = job(self);
            let failed = done.is_err();
            outcome = Some(done);
            if failed { Err(JsValue::NULL) } else { Ok(()) }
        });
        self.count(|counted| counted.transactions += 1);
        match (outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(())), Ok(_)) => Ok(()),
            (Some(Ok(())), Err(thrown)) => Err(refusal(&thrown)),
            // The job never came back: it panicked. Its transaction is rolled back; its stack, and what it held, is not.
            (None, _) => std::process::abort(),
        }
    }

    fn run(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Cursor, SqlError> {
        let params: Array = params.iter().map(bound).collect();
        self.database.exec(sql, &params).map_err(|thrown| refusal(&thrown))
    }

    /// Adds what a statement has cost, when it has ended.
    fn bill(&self, cursor: &Cursor) {
        let (read, written) = (count(cursor.rows_read()), count(cursor.rows_written()));
        self.count(|counted| {
            counted.read += read;
            counted.written += written;
        });
    }

    fn count(&self, add: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.get();
        add(&mut counted);
        self.counted.set(counted);
    }
}

impl Sql for Inner {
    fn exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, SqlError> {
        let cursor = self.run(sql, params)?;
        self.bill(&cursor);
        // Rows written count those of indexes too.
        if cursor.rows_written() == 0.0 {
            return Ok(0);
        }
        let mut changed = 0;
        self.query("SELECT changes()", &[], &mut |row| {
            changed = row.int(0)?;
            Ok(())
        })?;
        Ok(changed.unsigned_abs())
    }

    fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let cursor = self.run(sql, params)?;
        let rows = cursor.raw().map_err(|thrown| refusal(&thrown))?;
        loop {
            let next = rows.next().map_err(|thrown| refusal(&thrown))?;
            if next.done() {
                break;
            }
            let row: Array = next.value().unchecked_into();
            each(&Columns(row.iter().map(Column::from).collect()))?;
        }
        self.bill(&cursor);
        Ok(())
    }
}

fn bound(value: &Value<'_>) -> JsValue {
    match *value {
        Value::Null => JsValue::NULL,
        #[expect(clippy::cast_precision_loss, reason = "the port's integers are below 2^53")]
        Value::Int(int) => JsValue::from_f64(int as f64),
        Value::Text(text) => JsValue::from_str(text),
        Value::Blob(bytes) => Uint8Array::from(bytes).into(),
    }
}

struct Columns(Vec<Column>);

enum Column {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
    Other(&'static str),
}

impl From<JsValue> for Column {
    fn from(value: JsValue) -> Self {
        if let Some(number) = value.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "it is an integer below 2^53")]
            return if Number::is_safe_integer(&value) {
                Self::Int(number as i64)
            } else {
                Self::Other("a float")
            };
        }
        if value.is_null() {
            return Self::Null;
        }
        match value.dyn_into::<JsString>() {
            Ok(text) => Self::Text(text.into()),
            Err(bytes) => Self::Blob(Uint8Array::new(&bytes).to_vec()),
        }
    }
}

impl Column {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Int(_) => "an integer",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
            Self::Other(kind) => kind,
        }
    }
}

impl Columns {
    fn value(&self, column: usize) -> Result<&Column, SqlError> {
        let missing = || SqlError::Column { column, problem: "there is no such column".to_owned() };
        self.0.get(column).ok_or_else(missing)
    }
}

fn mismatch(column: usize, wanted: &str, found: &Column) -> SqlError {
    SqlError::Column { column, problem: format!("expected {wanted}, found {}", found.kind()) }
}

impl Row for Columns {
    fn int(&self, i: usize) -> Result<i64, SqlError> {
        match self.value(i)? {
            Column::Int(int) => Ok(*int),
            other => Err(mismatch(i, "an integer", other)),
        }
    }

    fn text(&self, i: usize) -> Result<&str, SqlError> {
        match self.value(i)? {
            Column::Text(text) => Ok(text),
            other => Err(mismatch(i, "text", other)),
        }
    }

    fn blob(&self, i: usize) -> Result<&[u8], SqlError> {
        match self.value(i)? {
            Column::Blob(bytes) => Ok(bytes),
            other => Err(mismatch(i, "bytes", other)),
        }
    }

    fn is_null(&self, i: usize) -> Result<bool, SqlError> {
        Ok(matches!(self.value(i)?, Column::Null))
    }
}

/// What the core is told about something that the database threw. Its messages end with SQLite's name of the error.
fn refusal(thrown: &JsValue) -> SqlError {
    let text = text_of(thrown);
    if text.contains("SQLITE_CONSTRAINT") {
        SqlError::Constraint(text)
    } else if text.contains("SQLITE_FULL") {
        SqlError::Full(text)
    } else {
        SqlError::Other(text)
    }
}

fn count(rows: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, far below 2^53")]
    let rows = rows as u64;
    rows
}
