//! The machine's clock.

use rookery_pds::ports::Clock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock of the operating system.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}
