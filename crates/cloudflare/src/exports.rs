//! Exports in progress. Each is of one commit, though an object has no snapshot that could stay open between two events.
//!
//! Steps are taken as the reader takes chunks. Before anything is written, the steps that are left are taken into memory: no
//! writer waits for a reader, and no reader sees what was written later.

use bytes::Bytes;
use rookery_pds::ports::{EngineError, Sql, SqlError, StreamJob};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// Bytes kept for the readers of an object. An isolate has 128 MB for all of its objects.
const KEPT: usize = 32 * 1024 * 1024;

/// The exports of one object.
#[derive(Default)]
pub(crate) struct Exports(RefCell<Vec<Weak<RefCell<State>>>>);

/// One of them; ends when this is dropped.
pub(crate) struct Export(Rc<RefCell<State>>);

struct State {
    /// What is left to be done; none after the last step, and after an error.
    job: Option<Box<dyn StreamJob>>,
    /// Chunks whose steps were taken ahead of the reader.
    ahead: VecDeque<Result<Bytes, EngineError>>,
}

impl Exports {
    /// Begins one. Nothing is read yet.
    pub(crate) fn start(&self, job: Box<dyn StreamJob>) -> Export {
        let state = Rc::new(RefCell::new(State { job: Some(job), ahead: VecDeque::new() }));
        let mut all = self.0.borrow_mut();
        all.retain(|other| other.strong_count() > 0);
        all.push(Rc::downgrade(&state));
        Export(state)
    }

    /// Takes all steps that are left, as far as there is room.
    pub(crate) fn finish(&self, sql: &dyn Sql) {
        let all: Vec<_> = self.0.take().into_iter().filter_map(|state| state.upgrade()).collect();
        let kept =
            |state: &Rc<RefCell<State>>| state.borrow().ahead.iter().flatten().map(Bytes::len).sum::<usize>();
        let mut room = KEPT.saturating_sub(all.iter().map(kept).sum());
        for state in all {
            state.borrow_mut().finish(sql, &mut room);
            // It still takes room.
            self.0.borrow_mut().push(Rc::downgrade(&state));
        }
    }
}

impl Export {
    /// The next chunk.
    pub(crate) fn next(&self, sql: &dyn Sql) -> Option<Result<Bytes, EngineError>> {
        let mut state = self.0.borrow_mut();
        state.ahead.pop_front().or_else(|| state.step(sql))
    }
}

impl State {
    /// The next chunk of the job. Nothing comes after an error.
    fn step(&mut self, sql: &dyn Sql) -> Option<Result<Bytes, EngineError>> {
        loop {
            match self.job.as_mut()?.next(sql) {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Ok(None) => {
                    self.job = None;
                    return None;
                }
                Err(error) => {
                    self.job = None;
                    return Some(Err(error.into()));
                }
            }
        }
    }

    fn finish(&mut self, sql: &dyn Sql, room: &mut usize) {
        while let Some(step) = self.step(sql) {
            let length = step.as_ref().map_or(0, Bytes::len);
            if length > *room {
                self.job = None;
                let problem = "the repo was written to during its export, and too much of it was left";
                self.ahead.push_back(Err(SqlError::Other(problem.to_owned()).into()));
                return;
            }
            *room -= length;
            self.ahead.push_back(step);
        }
    }
}
