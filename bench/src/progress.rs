//! Tells on stderr how far a long step is.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A line every so often.
const EVERY: Duration = Duration::from_secs(2);

/// Runs until it is dropped.
pub(crate) struct Progress {
    done: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Progress {
    /// Begins a step of so many parts.
    pub(crate) fn start(what: impl Into<String>, total: u64) -> Self {
        let (what, done) = (what.into(), Arc::new(AtomicU64::new(0)));
        let shared = Arc::clone(&done);
        let task = tokio::spawn(async move {
            loop {
                sleep(EVERY).await;
                say(&format!("{what}: {} of {total}", shared.load(Ordering::Relaxed)));
            }
        });
        Self { done, task }
    }

    /// Counts the parts that are done.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.done)
    }

    /// One more part is done.
    pub(crate) fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A line on stderr.
pub(crate) fn say(line: &str) {
    // Nobody has to be reading.
    let _ = writeln!(io::stderr(), "{line}");
}
