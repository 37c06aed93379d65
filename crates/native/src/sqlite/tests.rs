//! The engine's promises, each with a test that tries to break it. Threads meet at channels, never by the clock.

use super::{Bounds, SqliteEngine};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use rookery_pds::ports::{Engine, EngineError, Job, Mode, RepoId, Sql, SqlError, StreamJob, Value};
use rookery_pds::store::{self, proof, proof::Left};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tempfile::TempDir;

struct Store {
    engine: Arc<SqliteEngine>,
    dir: TempDir,
}

impl Store {
    fn new() -> Self {
        Self::bounded(Bounds::default())
    }

    fn bounded(bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = SqliteEngine::open(&dir.path().join("test.db"), bounds).unwrap();
        Self { engine: Arc::new(engine), dir }
    }

    async fn with_table(self) -> Self {
        self.write(|sql| sql.exec("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB) STRICT", &[]).map(drop))
            .await
            .unwrap();
        self
    }

    async fn write(
        &self,
        job: impl FnOnce(&dyn Sql) -> Result<(), SqlError> + Send + 'static,
    ) -> Result<(), EngineError> {
        self.engine.submit(Mode::Write, Box::new(job)).await
    }

    /// Queues a job now; the receiver gets its answer.
    fn queue(
        &self,
        job: impl FnOnce(&dyn Sql) -> Result<(), SqlError> + Send + 'static,
    ) -> tokio::sync::oneshot::Receiver<Result<(), EngineError>> {
        self.engine.writer.submit(Box::new(job)).now_or_never().unwrap().unwrap()
    }

    /// Holds the writer inside a job until the answer is sent.
    fn hold(&self) -> Sender<()> {
        let (started, wait_started) = channel();
        let (go, gate) = channel();
        drop(self.queue(blocked(started, gate)));
        wait_started.recv().unwrap();
        go
    }

    async fn numbers(&self) -> Vec<i64> {
        let (send, found) = channel();
        self.engine
            .submit(
                Mode::Read,
                Box::new(move |sql| {
                    sql.query("SELECT n FROM t ORDER BY n", &[], &mut |row| {
                        send.send(row.int(0)?).unwrap();
                        Ok(())
                    })
                }),
            )
            .await
            .unwrap();
        found.try_iter().collect()
    }
}

fn blocked(started: Sender<()>, gate: Receiver<()>) -> impl FnOnce(&dyn Sql) -> Result<(), SqlError> + Send {
    move |_| {
        started.send(()).unwrap();
        let _ = gate.recv();
        Ok(())
    }
}

fn insert(n: i64) -> impl FnOnce(&dyn Sql) -> Result<(), SqlError> + Send {
    move |sql| sql.exec("INSERT INTO t (n) VALUES (?1)", &[Value::Int(n)]).map(drop)
}

#[tokio::test]
async fn a_job_is_answered_only_after_its_group_is_committed() {
    let store = Store::new().with_table().await;
    let go = store.hold();
    let mut first = store.queue(insert(1));
    let (started, second_runs) = channel();
    let (finish, gate) = channel();
    let second = store.queue(blocked(started, gate));
    go.send(()).unwrap();
    second_runs.recv().unwrap();
    // The first job ran, since the second one does; but nothing of the group is on disk.
    assert!(first.try_recv().is_err());
    assert!(store.numbers().await.is_empty());
    finish.send(()).unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(store.numbers().await, [1]);
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_job_that_fails_or_panics_fails_alone() {
    let store = Store::new().with_table().await;
    let go = store.hold();
    let first = store.queue(insert(1));
    let constraint = store.queue(|sql| {
        insert(2)(sql)?;
        insert(1)(sql)
    });
    let aborted = store.queue(|sql| {
        insert(3)(sql)?;
        Err(SqlError::Aborted)
    });
    let panicked = store.queue(|sql| {
        insert(4)(sql)?;
        panic!("on purpose")
    });
    let last = store.queue(insert(5));
    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    assert!(matches!(constraint.await.unwrap(), Err(EngineError::Sql(SqlError::Constraint(_)))));
    assert!(matches!(aborted.await.unwrap(), Err(EngineError::Sql(SqlError::Aborted))));
    let panic = panicked.await.unwrap().unwrap_err().to_string();
    assert!(panic.contains("on purpose"), "{panic}");
    last.await.unwrap().unwrap();
    assert_eq!(store.numbers().await, [1, 5]);
}

#[tokio::test]
async fn when_a_job_ends_the_whole_transaction_nobody_is_told_that_it_worked() {
    let store = Store::new().with_table().await;
    store.write(insert(1)).await.unwrap();
    let go = store.hold();
    let lost = store.queue(insert(2));
    let ends_it = store.queue(|sql| sql.exec("INSERT OR ROLLBACK INTO t (n) VALUES (1)", &[]).map(drop));
    let after = store.queue(insert(3));
    go.send(()).unwrap();
    assert!(matches!(lost.await.unwrap(), Err(EngineError::Sql(SqlError::Other(_)))));
    assert!(matches!(ends_it.await.unwrap(), Err(EngineError::Sql(SqlError::Constraint(_)))));
    after.await.unwrap().unwrap();
    assert_eq!(store.numbers().await, [1, 3]);
}

#[test]
fn a_full_disk_is_told_apart() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (n); PRAGMA max_page_count = 2").unwrap();
    let error = connection.execute("INSERT INTO t VALUES (zeroblob(100000))", ()).unwrap_err();
    assert!(matches!(super::connection::refusal(&error), SqlError::Full(_)), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::new().with_table().await;
    let files: Vec<_> =
        store.dir.path().read_dir().unwrap().map(|file| file.unwrap().metadata().unwrap()).collect();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| file.permissions().mode() & 0o777 == 0o600));
}

#[test]
fn a_file_that_is_no_database_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    std::fs::write(&path, [7; 4096]).unwrap();
    assert!(SqliteEngine::open(&path, Bounds::default()).is_err());
}

#[tokio::test]
async fn reads_go_on_while_a_write_is_open() {
    let store = Store::new().with_table().await;
    store.write(insert(1)).await.unwrap();
    let (started, runs) = channel();
    let (finish, gate) = channel::<()>();
    let open = store.queue(move |sql| {
        insert(2)(sql)?;
        blocked(started, gate)(sql)
    });
    runs.recv().unwrap();
    assert_eq!(store.numbers().await, [1]);
    drop(finish);
    open.await.unwrap().unwrap();
    assert_eq!(store.numbers().await, [1, 2]);
}

#[tokio::test]
async fn a_read_job_cannot_write_and_a_panicking_one_leaves_the_pool_usable() {
    let store = Store::new().with_table().await;
    let written = store.engine.submit(Mode::Read, Box::new(insert(1))).await;
    assert!(matches!(written, Err(EngineError::Sql(SqlError::Other(_)))), "{written:?}");
    let job: Job = Box::new(|sql| sql.query("SELECT count(*) FROM t", &[], &mut |_| panic!("on purpose")));
    let read = std::panic::AssertUnwindSafe(store.engine.submit(Mode::Read, job)).catch_unwind().await;
    assert!(read.is_err());
    assert!(store.numbers().await.is_empty());
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_stopped_engine_refuses() {
    let bounds = Bounds { queue: 2, patience: Duration::ZERO, ..Bounds::default() };
    let store = Store::bounded(bounds).with_table().await;
    let go = store.hold();
    let queued = [store.queue(insert(1)), store.queue(insert(2))];
    assert!(matches!(store.write(insert(3)).await, Err(EngineError::Overloaded)));
    go.send(()).unwrap();
    for answer in queued {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(store.numbers().await, [1, 2]);
    store.engine.stop();
    assert!(matches!(store.write(insert(4)).await, Err(EngineError::Stopped)));
    let read = store.engine.submit(Mode::Read, Box::new(|_| Ok(()))).await;
    assert!(matches!(read, Err(EngineError::Stopped)));
}

#[tokio::test]
async fn who_finds_the_queue_full_goes_when_there_is_room() {
    let store = Store::bounded(Bounds { queue: 1, ..Bounds::default() }).with_table().await;
    let go = store.hold();
    let queued = store.queue(insert(1));
    let mut waiting = Box::pin(store.write(insert(2)));
    let mut given_up = Box::pin(store.write(insert(3)));
    assert!((&mut waiting).now_or_never().is_none());
    assert!((&mut given_up).now_or_never().is_none());
    drop(given_up);
    go.send(()).unwrap();
    queued.await.unwrap().unwrap();
    waiting.await.unwrap();
    assert_eq!(store.numbers().await, [1, 2]);
}

#[tokio::test]
async fn who_waits_for_room_when_the_engine_stops_is_refused() {
    let store = Store::bounded(Bounds { queue: 1, ..Bounds::default() }).with_table().await;
    let go = store.hold();
    let queued = store.queue(insert(1));
    let mut waiting = Box::pin(store.write(insert(2)));
    assert!((&mut waiting).now_or_never().is_none());
    let engine = Arc::clone(&store.engine);
    let stopping = tokio::task::spawn_blocking(move || engine.stop());
    assert!(matches!(waiting.await, Err(EngineError::Stopped)));
    go.send(()).unwrap();
    queued.await.unwrap().unwrap();
    stopping.await.unwrap();
}

#[tokio::test]
async fn while_another_process_writes_jobs_are_refused_and_later_ones_go() {
    let store = Store::bounded(Bounds { busy: Duration::ZERO, ..Bounds::default() }).with_table().await;
    let other = rusqlite::Connection::open(store.dir.path().join("test.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 1..4 {
        assert!(matches!(store.write(insert(n)).await, Err(EngineError::Overloaded)));
    }
    other.execute_batch("ROLLBACK").unwrap();
    store.write(insert(4)).await.unwrap();
    assert_eq!(store.numbers().await, [4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_streams_that_nobody_reads() {
    let store = Store::new().with_table().await;
    let (started, runs) = tokio::sync::oneshot::channel();
    let (held, ended) = tokio::sync::oneshot::channel::<()>();
    let mut started = Some(started);
    let stream = store.engine.stream(steps(move |_| {
        let _ = &held;
        started.take().map(|started| started.send(()));
        Ok(Some(Bytes::from_static(b"x")))
    }));
    runs.await.unwrap();
    let engine = Arc::clone(&store.engine);
    tokio::task::spawn_blocking(move || engine.stop()).await.unwrap();
    ended.await.unwrap_err();
    let items: Vec<_> = stream.collect().await;
    assert!(items.last().unwrap().is_err());
}

#[tokio::test]
async fn stopping_finishes_what_is_queued_and_leaves_one_file() {
    let store = Store::new().with_table().await;
    let go = store.hold();
    let queued: Vec<_> = (0..20).map(|n| store.queue(insert(n))).collect();
    let engine = Arc::clone(&store.engine);
    let stopping = tokio::task::spawn_blocking(move || engine.stop());
    go.send(()).unwrap();
    stopping.await.unwrap();
    for answer in queued {
        answer.await.unwrap().unwrap();
    }
    let files: Vec<_> = store.dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["test.db"]);
    let again = SqliteEngine::open(&store.dir.path().join("test.db"), Bounds::default()).unwrap();
    let store = Store { engine: Arc::new(again), dir: store.dir };
    assert_eq!(store.numbers().await.len(), 20);
}

#[tokio::test]
async fn a_cancelled_caller_does_not_undo_a_queued_job() {
    let store = Store::new().with_table().await;
    let go = store.hold();
    let mut caller = Box::pin(store.write(insert(1)));
    assert!((&mut caller).now_or_never().is_none());
    drop(caller);
    go.send(()).unwrap();
    store.write(insert(2)).await.unwrap();
    assert_eq!(store.numbers().await, [1, 2]);
}

#[tokio::test]
async fn a_turn_ends_when_it_is_dropped() {
    let store = Store::new();
    let turn = store.engine.turn(RepoId(1)).await;
    assert!(store.engine.turn(RepoId(1)).now_or_never().is_none());
    drop(turn);
    assert!(store.engine.turn(RepoId(1)).now_or_never().is_some());
}

/// A job whose steps are a closure.
struct Steps<F>(F);

impl<F: FnMut(&dyn Sql) -> Result<Option<Bytes>, SqlError> + Send> StreamJob for Steps<F> {
    fn next(&mut self, sql: &dyn Sql) -> Result<Option<Bytes>, SqlError> {
        (self.0)(sql)
    }
}

fn steps(
    next: impl FnMut(&dyn Sql) -> Result<Option<Bytes>, SqlError> + Send + 'static,
) -> Box<dyn StreamJob> {
    Box::new(Steps(next))
}

/// Has no end. What it holds is dropped with it.
fn endless(held: impl Send + 'static) -> Box<dyn StreamJob> {
    steps(move |_| {
        let _ = &held;
        Ok(Some(Bytes::from_static(b"x")))
    })
}

/// Sends every number as a chunk, with a query for each.
fn all_numbers() -> Box<dyn StreamJob> {
    let mut last = -1;
    steps(move |sql| {
        let mut chunk = None;
        sql.query("SELECT n FROM t WHERE n > ?1 ORDER BY n LIMIT 1", &[Value::Int(last)], &mut |row| {
            last = row.int(0)?;
            chunk = Some(Bytes::copy_from_slice(&last.to_be_bytes()));
            Ok(())
        })?;
        Ok(chunk)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_shows_one_moment_while_writes_go_on() {
    let store = Store::new().with_table().await;
    store.write(|sql| (0..500).try_for_each(|n| insert(n)(sql))).await.unwrap();
    let mut stream = store.engine.stream(all_numbers());
    let mut seen = vec![stream.next().await.unwrap().unwrap()];
    store.write(|sql| sql.exec("DELETE FROM t WHERE n >= 250", &[]).map(drop)).await.unwrap();
    store.write(insert(1000)).await.unwrap();
    while let Some(chunk) = stream.next().await {
        seen.push(chunk.unwrap());
    }
    let expected: Vec<_> = (0_i64..500).map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_ends_its_job() {
    let store = Store::bounded(Bounds { streams: 1, ..Bounds::default() }).with_table().await;
    let (held, ended) = tokio::sync::oneshot::channel::<()>();
    let mut stream = store.engine.stream(endless(held));
    stream.next().await.unwrap().unwrap();
    drop(stream);
    ended.await.unwrap_err();
    // Its place is free again.
    assert!(store.engine.stream(all_numbers()).next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_panics_or_stalls_never_looks_complete() {
    let bounds = Bounds { stall: Duration::ZERO, ..Bounds::default() };
    let store = Store::bounded(bounds).with_table().await;
    let once = |then: fn() -> Result<Option<Bytes>, SqlError>| {
        let mut first = Some(Bytes::from_static(b"x"));
        steps(move |_| first.take().map_or_else(then, |chunk| Ok(Some(chunk))))
    };
    let failing = store.engine.stream(once(|| Err(SqlError::Aborted)));
    let panicking = store.engine.stream(once(|| panic!("on purpose")));
    let (held, ended) = tokio::sync::oneshot::channel::<()>();
    let stalled = store.engine.stream(endless(held));
    ended.await.unwrap_err();
    for stream in [failing, panicking, stalled] {
        let items: Vec<_> = stream.collect().await;
        let (last, before) = items.split_last().unwrap();
        assert!(last.is_err());
        assert!(before.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn proofs_are_forgotten_with_a_floor_and_those_of_kept_seconds_are_not() {
    let store = Store::new();
    store
        .write(|sql| {
            store::migrate(sql, store::Schema::Accounts)?;
            assert_eq!(proof::left(sql)?, Left { floor: 0, newest: 0 });
            for iat in [100, 101, 102, 103, 500] {
                assert!(proof::consume(sql, iat, &[7; 16])?);
            }
            assert_eq!(proof::left(sql)?, Left { floor: 0, newest: 500 });
            // A few at a time: 101 and 102 stay, whatever the clock says, and so does 500.
            assert_eq!(proof::forget_before(sql, 400, &(101..=102), 1)?, 1);
            assert_eq!(proof::forget_before(sql, 400, &(101..=102), 10)?, 1);
            assert_eq!(proof::forget_before(sql, 400, &(101..=102), 10)?, 0);
            let fresh: Vec<_> =
                [100, 101, 102, 103, 500].map(|iat| proof::consume(sql, iat, &[7; 16]).unwrap()).into();
            assert_eq!(fresh, [true, false, false, true, false]);
            // A clock that was set back forgets less, and does not lower the floor: below it nothing is known.
            #[expect(clippy::reversed_empty_ranges, reason = "no seconds are kept")]
            let none = 1..=0;
            assert_eq!(proof::forget_before(sql, 50, &none, 10)?, 0);
            assert_eq!(proof::left(sql)?, Left { floor: 400, newest: 500 });
            Ok(())
        })
        .await
        .unwrap();
}
