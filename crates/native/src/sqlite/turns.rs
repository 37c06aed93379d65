//! Per-account order: writers of one account go one after another, in the order they came.
//!
//! Only accounts that somebody writes to right now are in memory.

use rookery_pds::ports::RepoId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<RepoId, Queue>>;

/// The writers of one account.
#[derive(Default)]
struct Queue {
    order: Arc<AsyncMutex<()>>,
    /// How many wait or go.
    tickets: usize,
}

/// The queues of all accounts.
pub(super) struct Turns(Arc<[Shard; SHARDS]>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Shard::default())))
    }

    /// Waits for the turn of the caller. Giving up leaves the queue.
    pub(super) async fn take(&self, repo: RepoId) -> Held {
        let ticket = Ticket::new(Arc::clone(&self.0), repo);
        let guard = Arc::clone(&ticket.order).lock_owned().await;
        Held { _guard: guard, _ticket: ticket }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.0.iter().map(|shard| locked(shard).len()).sum()
    }
}

/// A turn. The fields' order matters: the queue moves on before it is looked at for being idle.
pub(super) struct Held {
    _guard: OwnedMutexGuard<()>,
    _ticket: Ticket,
}

/// Somebody who waits or goes; the last one out removes the account's queue.
struct Ticket {
    shards: Arc<[Shard; SHARDS]>,
    repo: RepoId,
    order: Arc<AsyncMutex<()>>,
}

impl Ticket {
    fn new(shards: Arc<[Shard; SHARDS]>, repo: RepoId) -> Self {
        let order = shard(&shards, repo).map(|mut map| {
            let queue = map.entry(repo).or_default();
            queue.tickets += 1;
            Arc::clone(&queue.order)
        });
        Self { shards, repo, order: order.unwrap_or_default() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(mut map) = shard(&self.shards, self.repo) else { return };
        if let Some(queue) = map.get_mut(&self.repo) {
            queue.tickets -= 1;
            if queue.tickets == 0 {
                map.remove(&self.repo);
            }
        }
    }
}

fn locked(shard: &Shard) -> MutexGuard<'_, HashMap<RepoId, Queue>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Always there: the number is taken modulo their count.
fn shard(shards: &[Shard; SHARDS], repo: RepoId) -> Option<MutexGuard<'_, HashMap<RepoId, Queue>>> {
    let number = usize::try_from(repo.0.unsigned_abs()).unwrap_or(0) % SHARDS;
    shards.get(number).map(locked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const REPO: RepoId = RepoId(7);

    #[tokio::test]
    async fn turns_of_one_account_go_in_the_order_they_were_asked_for() {
        let turns = Turns::new();
        let first = turns.take(REPO).await;
        let mut second = Box::pin(turns.take(REPO));
        let mut third = Box::pin(turns.take(REPO));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let second = (&mut second).now_or_never().unwrap();
        drop(second);
        drop((&mut third).now_or_never().unwrap());
        assert_eq!(turns.remembered(), 0);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_holds_nobody_up() {
        let turns = Turns::new();
        let first = turns.take(REPO).await;
        let mut second = Box::pin(turns.take(REPO));
        let mut third = Box::pin(turns.take(REPO));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(second);
        drop(first);
        assert!((&mut third).now_or_never().is_some());
        drop(third);
        assert_eq!(turns.remembered(), 0);
    }

    #[tokio::test]
    async fn accounts_do_not_wait_for_each_other() {
        // 1 and 17 share a shard.
        let turns = Turns::new();
        let _first = turns.take(RepoId(1)).await;
        assert!(turns.take(RepoId(2)).now_or_never().is_some());
        assert!(turns.take(RepoId(17)).now_or_never().is_some());
        assert_eq!(turns.remembered(), 1);
    }
}
