//! Fixed windows: a key has so many points for a while, and the while begins with the first of them that it uses.
//!
//! The keys in memory are bounded in number. When there is no room for another, those whose windows are over go first, then the
//! quarter that has used least of its points. So a stranger with very many addresses makes the table forget other light users,
//! who lose nothing by it; to make it forget one that is near its limit he would have to bring most of a shard nearer to theirs.
//! A key that is new is always let in.

use crate::config::Rate;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Windows that one limit can have, such as an hour and a day.
const MOST: usize = 2;
/// Each with a lock of its own, held for one look-up, or now and then for making room.
const SHARDS: u64 = 64;
const MICROS: i64 = 1_000_000;

/// The windows of many keys, all with the same rates.
pub(crate) struct Windows {
    /// None: no limit.
    rates: Vec<Rate>,
    shards: Vec<Mutex<Shard>>,
    /// Keys in one shard.
    room: usize,
    /// Which shard a key is in is nobody's to choose, where the host has randomness for it.
    hasher: RandomState,
}

type Shard = HashMap<u64, [Window; MOST]>;

/// What a key used of one rate.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    used: u32,
    /// In microseconds since the epoch.
    ends: i64,
}

/// How a key stands with the one of its rates that is closest to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) rate: Rate,
    pub(crate) remaining: u32,
    /// Whole seconds since the epoch; the window is over then.
    pub(crate) resets: i64,
    /// Whole seconds until then, at least one.
    pub(crate) wait: i64,
}

impl Windows {
    /// For about `keys` keys. Each takes 40 to 90 bytes while it is known.
    pub(crate) fn new(rates: &[Rate], keys: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect::<Vec<_>>();
        let room = (keys / shards.len()).max(8);
        Self { rates: rates.iter().copied().take(MOST).collect(), shards, room, hasher: RandomState::new() }
    }

    /// True when nothing is limited.
    pub(crate) fn is_off(&self) -> bool {
        self.rates.is_empty()
    }

    /// Takes points of all rates, or of none when one of them has too few left. `now` is in microseconds.
    pub(crate) fn take(&self, key: u64, points: u32, now: i64) -> Result<Option<Standing>, Standing> {
        let Some(mut shard) = self.shard(key) else { return Ok(None) };
        if shard.len() >= self.room && !shard.contains_key(&key) {
            make_room(&mut shard, &self.rates, now);
        }
        let windows = shard.entry(key).or_default();
        let mut refused: Option<Standing> = None;
        for (window, rate) in windows.iter_mut().zip(&self.rates) {
            window.begin(rate, now);
            if window.left(rate) < points {
                let standing = window.standing(rate, now);
                refused = refused.filter(|other| other.resets > standing.resets).or(Some(standing));
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        for window in windows.iter_mut() {
            window.used = window.used.saturating_add(points);
        }
        Ok(self.tightest(windows, now))
    }

    /// Refuses a key that has nothing left.
    pub(crate) fn require_left(&self, key: u64, now: i64) -> Result<(), Standing> {
        let Some(shard) = self.shard(key) else { return Ok(()) };
        let Some(windows) = shard.get(&key) else { return Ok(()) };
        let spent = windows
            .iter()
            .zip(&self.rates)
            .filter(|(window, rate)| !window.is_over(rate, now) && window.left(rate) == 0);
        let standings = spent.map(|(window, rate)| window.standing(rate, now));
        standings.max_by_key(|standing| standing.resets).map_or(Ok(()), Err)
    }

    fn tightest(&self, windows: &[Window], now: i64) -> Option<Standing> {
        let standings = windows.iter().zip(&self.rates).map(|(window, rate)| window.standing(rate, now));
        standings.min_by_key(|standing| standing.remaining)
    }

    /// None when nothing is limited.
    fn shard(&self, key: u64) -> Option<MutexGuard<'_, Shard>> {
        if self.is_off() {
            return None;
        }
        let number = usize::try_from(self.hasher.hash_one(key) % SHARDS).ok()?;
        Some(self.shards.get(number)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

impl Window {
    /// Over, or from a clock that was ahead: nobody waits for longer than the window is.
    fn is_over(&self, rate: &Rate, now: i64) -> bool {
        now >= self.ends || self.ends.saturating_sub(now) > micros(rate)
    }

    fn begin(&mut self, rate: &Rate, now: i64) {
        if self.is_over(rate, now) {
            *self = Self { used: 0, ends: now.saturating_add(micros(rate)) };
        }
    }

    fn left(&self, rate: &Rate) -> u32 {
        rate.points.saturating_sub(self.used)
    }

    fn standing(&self, rate: &Rate, now: i64) -> Standing {
        // Both rounded up: who comes back then is let in.
        let resets = self.ends.saturating_add(MICROS - 1).div_euclid(MICROS);
        let wait = self.ends.saturating_sub(now).saturating_add(MICROS - 1).div_euclid(MICROS);
        Standing { rate: *rate, remaining: self.left(rate), resets, wait: wait.max(1) }
    }
}

fn micros(rate: &Rate) -> i64 {
    i64::try_from(rate.window.as_micros()).unwrap_or(i64::MAX)
}

/// Forgets what is over, and the lightest quarter if that was little. Whole shares at once, so that it is seldom.
fn make_room(shard: &mut Shard, rates: &[Rate], now: i64) {
    let full = shard.len();
    let weight = |windows: &[Window; MOST]| {
        let used = windows.iter().zip(rates).filter(|(window, rate)| !window.is_over(rate, now));
        used.map(|(window, rate)| u64::from(window.used) * 1_000_000 / u64::from(rate.points.max(1))).max()
    };
    shard.retain(|_, windows| weight(windows).is_some());
    let mut leaving = (full / 4).saturating_sub(full - shard.len());
    if leaving == 0 {
        return;
    }
    let mut weights: Vec<u64> = shard.values().filter_map(weight).collect();
    let (_, heaviest_leaving, _) = weights.select_nth_unstable(leaving - 1);
    shard.retain(|_, windows| {
        let leaves = leaving > 0 && weight(windows).is_none_or(|weight| weight <= *heaviest_leaving);
        leaving -= usize::from(leaves);
        !leaves
    });
}

#[cfg(test)]
mod tests;
