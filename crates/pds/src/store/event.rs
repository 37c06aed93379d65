//! The event log.

use super::{one, scalar};
use crate::ports::{RepoId, Row, Sql, SqlError, Value};
use rookery_atproto::event::Unsequenced;

/// A place in the log: after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The event's `seq`; 0 before the first.
    pub seq: i64,
    /// Its number: how many there have been. What is between two positions is the difference.
    pub number: i64,
}

/// Where the log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The last event that was forgotten; 0 while all are there.
    pub floor: i64,
    /// The newest event.
    pub newest: Position,
}

/// An event as it is stored, with its place.
#[derive(Debug)]
pub struct Stored<'a> {
    /// The place after it.
    pub position: Position,
    /// Whose event it is.
    pub account: RepoId,
    /// The frame without its number.
    pub frame: Unsequenced<&'a [u8]>,
}

/// Appends an event that happened at `now` (microseconds). It becomes number `now`, or one more than the last.
pub fn append(sql: &dyn Sql, account: RepoId, now: i64, event: &Unsequenced) -> Result<(), SqlError> {
    let gap = i64::try_from(event.gap).map_err(|error| SqlError::Other(error.to_string()))?;
    sql.exec(
        "INSERT INTO event (seq, number, account, gap, frame) \
         SELECT max(?1, coalesce(last.seq, 0) + 1), coalesce(last.number, 0) + 1, ?2, ?3, ?4 \
         FROM (SELECT 1) LEFT JOIN (SELECT seq, number FROM event ORDER BY seq DESC LIMIT 1) AS last",
        &[Value::Int(now), Value::Int(account.0), Value::Int(gap), Value::Blob(&event.bytes)],
    )?;
    Ok(())
}

/// Where the log begins and ends.
pub fn ends(sql: &dyn Sql) -> Result<Ends, SqlError> {
    let floor = scalar(sql, "SELECT seq FROM event_floor", &[])?.unwrap_or(0);
    let newest =
        one(sql, "SELECT seq, number FROM event ORDER BY seq DESC LIMIT 1", &[], |row| position(row))?;
    Ok(Ends { floor, newest: newest.unwrap_or(Position { seq: floor, number: 0 }) })
}

/// The place after the event `seq`, or after the last one before it; of what is forgotten, the place before the oldest.
pub fn position_of(sql: &dyn Sql, seq: i64) -> Result<Position, SqlError> {
    let number = match scalar(
        sql,
        "SELECT number FROM event WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1",
        &[Value::Int(seq)],
    )? {
        Some(number) => number,
        None => scalar(sql, "SELECT number - 1 FROM event ORDER BY seq LIMIT 1", &[])?.unwrap_or(0),
    };
    Ok(Position { seq, number })
}

/// Calls `each` with the events after `seq`, in order, until it says false.
pub fn after(
    sql: &dyn Sql,
    seq: i64,
    mut each: impl FnMut(Stored<'_>) -> Result<bool, SqlError>,
) -> Result<(), SqlError> {
    let mut enough = false;
    let read = sql.query(
        "SELECT seq, number, account, gap, frame FROM event WHERE seq > ?1 ORDER BY seq",
        &[Value::Int(seq)],
        &mut |row| {
            let gap = usize::try_from(row.int(3)?).map_err(|error| super::column_error(3, error))?;
            let frame = Unsequenced { bytes: row.blob(4)?, gap };
            enough = !each(Stored { position: position(row)?, account: RepoId(row.int(2)?), frame })?;
            // The only way to end a query before its end.
            if enough { Err(SqlError::Aborted) } else { Ok(()) }
        },
    );
    match read {
        Err(SqlError::Aborted) if enough => Ok(()),
        other => other,
    }
}

/// Forgets the events up to `seq`, which others have, and says how many. The newest is kept: the next one follows on it.
pub fn forget(sql: &dyn Sql, seq: i64) -> Result<u64, SqlError> {
    sql.exec("DELETE FROM event WHERE seq <= ?1 AND seq < (SELECT max(seq) FROM event)", &[Value::Int(seq)])
}

/// True when [`prune`] has something to forget.
pub fn prunable(sql: &dyn Sql, before: i64, keep: i64) -> Result<bool, SqlError> {
    let newest = ends(sql)?.newest;
    let oldest = one(sql, "SELECT seq, number FROM event ORDER BY seq LIMIT 1", &[], |row| position(row))?;
    Ok(oldest.is_some_and(|event| is_old(event, newest, before, keep)))
}

/// Older than a time, or than as many as are kept; the newest never is.
fn is_old(event: Position, newest: Position, before: i64, keep: i64) -> bool {
    let many = event.number <= newest.number.saturating_sub(keep);
    event.seq < newest.seq && (event.seq < before || many)
}

/// Forgets up to `limit` of the oldest events, as far as they came before `before` (microseconds) or more than `keep` came
/// after them, and says how many. The newest is always kept: the next one follows on it.
pub fn prune(sql: &dyn Sql, before: i64, keep: i64, limit: i64) -> Result<u64, SqlError> {
    let newest = ends(sql)?.newest;
    let mut last = None;
    sql.query("SELECT seq, number FROM event ORDER BY seq LIMIT ?1", &[Value::Int(limit)], &mut |row| {
        let event = position(row)?;
        let old = event.seq < before || event.number <= newest.number.saturating_sub(keep);
        if old && event.seq < newest.seq {
            last = Some(event.seq);
        }
        Ok(())
    })?;
    let Some(last) = last else { return Ok(0) };
    sql.exec("UPDATE event_floor SET seq = max(seq, ?1)", &[Value::Int(last)])?;
    sql.exec("DELETE FROM event WHERE seq <= ?1", &[Value::Int(last)])
}

fn position(row: &dyn Row) -> Result<Position, SqlError> {
    Ok(Position { seq: row.int(0)?, number: row.int(1)? })
}
