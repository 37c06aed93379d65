//! The test owns the clock.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const NOW: i64 = 1_700_000_000 * MICROS;
const KEY: u64 = 7;

fn rate(points: u32, seconds: u64) -> Rate {
    Rate { points, window: Duration::from_secs(seconds) }
}

#[test]
fn points_are_used_up_and_come_back_at_the_end_of_the_window() {
    let windows = Windows::new(&[rate(5, 60)], 100);
    let first = windows.take(KEY, 3, NOW).unwrap().unwrap();
    assert_eq!(first, Standing { rate: rate(5, 60), remaining: 2, resets: NOW / MICROS + 60, wait: 60 });
    windows.take(KEY, 2, NOW + 30 * MICROS).unwrap();
    let last = NOW + 60 * MICROS - 1;
    let refused = windows.take(KEY, 1, last).unwrap_err();
    assert_eq!((refused.remaining, refused.wait, refused.resets), (0, 1, NOW / MICROS + 60));
    assert_eq!(windows.take(KEY, 5, last + 1).unwrap().unwrap().remaining, 0);
}

#[test]
fn what_is_refused_costs_nothing_so_that_less_may_still_pass() {
    let windows = Windows::new(&[rate(10, 60), rate(12, 600)], 100);
    windows.take(KEY, 4, NOW).unwrap();
    assert_eq!(windows.take(KEY, 7, NOW).unwrap_err().remaining, 6);
    assert_eq!(windows.take(KEY, 6, NOW).unwrap().unwrap().remaining, 0);
    // The day is what is short now, though a new hour has begun.
    let refused = windows.take(KEY, 3, NOW + 60 * MICROS).unwrap_err();
    assert_eq!((refused.rate, refused.remaining, refused.wait), (rate(12, 600), 2, 540));
    assert_eq!(windows.take(KEY, 2, NOW + 60 * MICROS).unwrap().unwrap().rate, rate(12, 600));
}

#[test]
fn who_is_short_of_both_is_told_the_longer_wait() {
    let windows = Windows::new(&[rate(1, 60), rate(1, 600)], 100);
    windows.take(KEY, 1, NOW).unwrap();
    assert_eq!(windows.take(KEY, 1, NOW).unwrap_err().rate, rate(1, 600));
    assert_eq!(windows.require_left(KEY, NOW).unwrap_err().rate, rate(1, 600));
    assert!(windows.require_left(KEY, NOW + 600 * MICROS).is_ok());
    assert!(windows.require_left(KEY + 1, NOW).is_ok());
}

#[test]
fn keys_have_points_of_their_own_and_no_rates_are_no_limit() {
    let windows = Windows::new(&[rate(1, 60)], 100);
    windows.take(KEY, 1, NOW).unwrap();
    assert!(windows.take(KEY, 1, NOW).is_err());
    assert!(windows.take(KEY + 1, 1, NOW).is_ok());
    let off = Windows::new(&[], 100);
    for _ in 0..100 {
        assert_eq!(off.take(KEY, u32::MAX, NOW), Ok(None));
    }
    assert_eq!((off.keys(), off.require_left(KEY, NOW)), (0, Ok(())));
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let windows = Windows::new(&[rate(1, 60)], 100);
    windows.take(KEY, 1, NOW).unwrap();
    assert!(windows.take(KEY, 1, NOW - 1).is_ok());
    assert!(windows.take(KEY, 1, NOW - 1).is_err());
    windows.take(KEY, 1, i64::MAX).unwrap();
    assert!(windows.take(KEY, 1, i64::MIN).is_ok());
}

#[test]
fn very_many_keys_neither_take_more_room_nor_wash_a_heavy_one_out_nor_lock_a_new_one_out() {
    const ROOM: usize = 64 * 32;
    let windows = Windows::new(&[rate(100, 60)], ROOM);
    windows.take(KEY, 100, NOW).unwrap();
    for stranger in 1_000..100_000 {
        assert!(windows.take(stranger, 1, NOW).is_ok(), "{stranger}");
    }
    assert!(windows.keys() <= ROOM);
    assert!(windows.take(KEY, 1, NOW).is_err(), "forgotten");
    // Those that are over go first: the heavy ones stay.
    let later = NOW + 59 * MICROS;
    let heavy: Vec<u64> = (200_000..200_100).collect();
    for key in &heavy {
        windows.take(*key, 2, later).unwrap();
    }
    for stranger in 300_000..310_000 {
        windows.take(stranger, 1, NOW + 60 * MICROS).unwrap();
    }
    for key in heavy {
        assert_eq!(windows.take(key, 0, NOW + 60 * MICROS).unwrap().unwrap().remaining, 98);
    }
}

proptest! {
    /// Within a window nobody ever gets more than the points, whatever is asked for when, and all is got again after it.
    #[test]
    fn nobody_gets_more_than_the_points(asked in prop::collection::vec((0..4_u64, 0..50_u32, 0..20_i64), 1..200)) {
        let windows = Windows::new(&[rate(100, 60)], 1_000);
        let mut got = HashMap::<u64, (i64, u32)>::new();
        let mut now = NOW;
        for (key, points, later) in asked {
            now += later * MICROS;
            let (began, used) = got.entry(key).or_insert((now, 0));
            if now - *began >= 60 * MICROS {
                (*began, *used) = (now, 0);
            }
            let fits = *used + points <= 100;
            *used += if fits { points } else { 0 };
            let taken = windows.take(key, points, now);
            prop_assert_eq!(taken.is_ok(), fits);
            let standing = taken.unwrap_or_else(Some).unwrap();
            prop_assert_eq!(standing.remaining, 100 - *used);
        }
    }
}
