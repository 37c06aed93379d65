//! Accounts against the number that a relay takes from a host before it throttles the rest.

use super::Elapsed;
use crate::app::App;
use crate::error::{Result, internal};
use crate::sequencer::SharedLog;
use crate::store;
use std::sync::Arc;
use std::time::Duration;

/// Counting takes a fraction of a microsecond for each account; waiting 200 times as long keeps it under a half percent.
const REST_PER_ACCOUNT: Duration = Duration::from_micros(100);

/// Counts the active accounts and warns when they come near to the cap.
pub struct AccountWatch {
    app: Arc<App>,
    /// Where the accounts are, if their stores are elsewhere.
    shared: Option<Arc<SharedLog>>,
    elapsed: Elapsed,
    count: Count,
}

impl AccountWatch {
    /// One that has not counted yet.
    pub fn new(app: Arc<App>) -> Self {
        Self { shared: None, elapsed: Elapsed::start(&app), app, count: Count::default() }
    }

    /// The same for the accounts that deliver to a log, in whose store there are none: see [`App::without_accounts`].
    pub fn of_shared(app: Arc<App>, shared: Arc<SharedLog>) -> Self {
        Self { shared: Some(shared), ..Self::new(app) }
    }

    /// Looks at the log, and counts when something happened.
    pub async fn tick(&mut self) -> Result<()> {
        let time = self.elapsed.read(&self.app);
        let newest = self.app.log.ends().await?.newest.seq;
        if self.count.is_due(time, newest) {
            let active = self.count_active().await?;
            let cap = self.app.config.relays.account_cap;
            if let Some(warning) = self.count.keep(active, cap, time, newest) {
                tracing::warn!(accounts.active = active, accounts.relay_cap = cap, "{warning}");
            }
        }
        self.app.relays().set_accounts(self.count.active, newest);
        Ok(())
    }

    async fn count_active(&self) -> Result<u64> {
        if let Some(shared) = &self.shared {
            return shared.count_active().await;
        }
        let active = self.app.read(|sql| Ok(store::account::count_active(sql)?)).await?;
        u64::try_from(active).map_err(internal)
    }
}

/// How near to the cap the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// There is room.
    #[default]
    Low,
    /// 80 % are used.
    Near,
    /// All are used.
    Full,
}

impl Level {
    /// Where `active` accounts stand.
    fn of(active: u64, cap: u64) -> Self {
        if active >= cap {
            Self::Full
        } else if u128::from(active) * 5 >= u128::from(cap) * 4 {
            Self::Near
        } else {
            Self::Low
        }
    }
}

/// What the operator should know; none while there is room.
pub(super) fn warning(active: u64, cap: u64) -> Option<String> {
    let what = match Level::of(active, cap) {
        Level::Low => return None,
        Level::Near => "soon",
        Level::Full => "now",
    };
    Some(format!(
        "{active} accounts are active and relays take {cap} from a server that they do not know: further ones are throttled \
         {what}. Ask the operators of your relays for more, then set ROOKERY_RELAY_ACCOUNT_CAP to what they grant."
    ))
}

/// The count as it was last made.
#[derive(Debug, Default)]
struct Count {
    active: Option<u64>,
    /// When, and the newest event at that time.
    at: Duration,
    newest: i64,
    /// The highest level that was told.
    told: Level,
}

impl Count {
    /// True when it may have changed and counting again is worth it: a count takes as long as there are accounts.
    fn is_due(&self, now: Duration, newest: i64) -> bool {
        let Some(active) = self.active else { return true };
        let rest = REST_PER_ACCOUNT.saturating_mul(u32::try_from(active).unwrap_or(u32::MAX));
        newest != self.newest && now.saturating_sub(self.at) >= rest
    }

    /// Keeps a new count. The warning, when it reached a level for the first time.
    fn keep(&mut self, active: u64, cap: u64, now: Duration, newest: i64) -> Option<String> {
        (self.active, self.at, self.newest) = (Some(active), now, newest);
        let level = Level::of(active, cap);
        if level <= self.told {
            return None;
        }
        self.told = level;
        warning(active, cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_at_four_fifths_and_at_the_cap() {
        for (active, cap, level) in [
            (0, 100, Level::Low),
            (79, 100, Level::Low),
            (80, 100, Level::Near),
            (99, 100, Level::Near),
            (100, 100, Level::Full),
            (3, 5, Level::Low),
            (4, 5, Level::Near),
            (0, 1, Level::Low),
            (1, 1, Level::Full),
            (u64::MAX / 2, u64::MAX, Level::Low),
            (u64::MAX - 1, u64::MAX, Level::Near),
        ] {
            assert_eq!(Level::of(active, cap), level, "{active} of {cap}");
            assert_eq!(warning(active, cap).is_some(), level > Level::Low);
        }
    }

    #[test]
    fn each_level_is_told_once() {
        let mut count = Count::default();
        let told: Vec<u64> = [79, 80, 81, 79, 80, 100, 101, 90, 100]
            .into_iter()
            .filter(|active| count.keep(*active, 100, Duration::ZERO, 0).is_some())
            .collect();
        assert_eq!(told, [80, 100]);
    }

    #[test]
    fn it_counts_when_something_was_written_and_less_often_the_more_there_are() {
        let mut count = Count::default();
        assert!(count.is_due(Duration::ZERO, 0), "never counted");
        count.keep(0, 100, Duration::ZERO, 0);
        assert!(!count.is_due(Duration::from_secs(1_000), 0), "nothing was written");
        assert!(count.is_due(Duration::ZERO, 1));
        count.keep(1_000_000, 100, Duration::from_secs(5), 1);
        assert!(!count.is_due(Duration::from_secs(104), 2));
        assert!(count.is_due(Duration::from_secs(105), 2));
    }
}
