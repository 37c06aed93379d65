use super::*;

/// No jitter: waits are as long as they get.
const FULL: u16 = u16::MAX;
const READ: Situation = Situation { has_accounts: true, newest: 100, quiet: None };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

fn quiet(minutes: u64) -> Situation {
    Situation { quiet: Some(Duration::from_mins(minutes)), ..READ }
}

/// A relay that accepted a request at `at` and whose status is not due for long.
fn accepted(at: Duration, situation: Situation) -> Schedule {
    let mut schedule = Schedule::default();
    assert_eq!(schedule.due(at, situation), Some(Step::RequestCrawl));
    schedule.crawl_requested(at, situation, Outcome::Accepted, FULL);
    schedule.status_at = Some(Duration::MAX);
    schedule
}

/// The first second from `from` on at which a request is due, read by the second.
fn next_request(schedule: &mut Schedule, from: Duration, situation: Situation) -> Duration {
    let mut now = from;
    while schedule.due(now, situation) != Some(Step::RequestCrawl) {
        now += seconds(1);
        assert!(now < from + Duration::from_hours(48), "never");
    }
    now
}

#[test]
fn nothing_is_asked_before_the_first_account_and_then_at_once() {
    let mut schedule = Schedule::default();
    let empty = Situation { has_accounts: false, newest: 0, quiet: Some(minutes(600)) };
    assert_eq!(schedule.due(minutes(600), empty), None);
    assert_eq!(schedule.due(minutes(601), READ), Some(Step::RequestCrawl));
}

#[test]
fn a_write_asks_again_once_the_last_request_is_twenty_minutes_old() {
    let mut schedule = accepted(minutes(1), READ);
    assert_eq!(schedule.due(minutes(100), READ), None, "nothing was written");
    let written = Situation { newest: 101, ..READ };
    assert_eq!(schedule.due(minutes(21), written), None);
    assert_eq!(schedule.due(minutes(21) + seconds(1), written), Some(Step::RequestCrawl));
    schedule.crawl_requested(minutes(22), written, Outcome::Accepted, FULL);
    schedule.status_at = None;
    assert_eq!(schedule.due(minutes(100), written), None, "that write was told");
}

#[test]
fn without_readers_it_asks_after_ten_minutes_and_then_at_growing_intervals() {
    let start = quiet(0);
    let mut schedule = accepted(minutes(0), start);
    assert_eq!(schedule.due(minutes(9), quiet(9)), None);
    let mut now = minutes(0);
    for expected in [10, 20, 40, 80, 160, 160] {
        let next = next_request(&mut schedule, now + minutes(1), quiet(10));
        assert_eq!(next - now, minutes(expected));
        schedule.crawl_requested(next, quiet(10), Outcome::Accepted, FULL);
        schedule.status_at = None;
        now = next;
    }
    // Somebody comes and goes: it begins anew.
    assert_eq!(schedule.due(now + minutes(1), READ), None);
    assert_eq!(schedule.due(now + minutes(12), quiet(9)), None);
    assert_eq!(schedule.due(now + minutes(13), quiet(10)), Some(Step::RequestCrawl));
}

#[test]
fn a_relay_that_lost_this_server_is_asked_although_others_read() {
    for (lost, asked) in [(Some(true), Some(Step::RequestCrawl)), (Some(false), None), (None, None)] {
        let mut schedule = accepted(minutes(0), READ);
        schedule.status_read(minutes(1), lost, FULL);
        assert_eq!(schedule.due(minutes(5), READ), None);
        schedule.status_at = None;
        assert_eq!(schedule.due(minutes(10), READ), asked, "{lost:?}");
    }
    let mut schedule = accepted(minutes(0), READ);
    schedule.status_read(minutes(1), Some(true), FULL);
    schedule.status_read(minutes(2), None, FULL);
    assert_eq!(schedule.due(minutes(10), READ), Some(Step::RequestCrawl), "a failed look changes nothing");
}

#[test]
fn failures_back_off_from_a_second_to_a_quarter_of_an_hour() {
    let mut schedule = Schedule::default();
    let mut now = Duration::ZERO;
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        schedule.crawl_requested(now, READ, Outcome::Failed(None), FULL);
        schedule.status_at = None;
        let next = next_request(&mut schedule, now, READ);
        assert_eq!(next - now, seconds(expected));
        now = next;
    }
    for _ in 0..100 {
        schedule.crawl_requested(now, READ, Outcome::Failed(None), FULL);
    }
    schedule.crawl_requested(now, READ, Outcome::Accepted, FULL);
    let stale = now + STALE + seconds(1);
    let written = Situation { newest: 101, ..READ };
    assert_eq!(schedule.due(stale, written), Some(Step::RequestCrawl));
    schedule.crawl_requested(stale, written, Outcome::Failed(None), FULL);
    assert_eq!(next_request(&mut schedule, stale, written) - stale, seconds(1), "a success begins anew");
}

#[test]
fn jitter_shortens_waits_by_up_to_half_and_never_those_that_the_relay_asked_for() {
    for jitter in [0, 1000, u16::MAX] {
        let mut schedule = Schedule::default();
        schedule.crawl_requested(Duration::ZERO, READ, Outcome::Failed(None), jitter);
        assert!((seconds(1) / 2..=seconds(1)).contains(&schedule.not_before), "{schedule:?}");
        schedule.crawl_requested(Duration::ZERO, READ, Outcome::Failed(Some(seconds(100))), jitter);
        assert!((seconds(100)..=seconds(110)).contains(&schedule.not_before), "{schedule:?}");
        schedule.crawl_requested(Duration::ZERO, READ, Outcome::Refused, jitter);
        assert!((minutes(180)..=minutes(360)).contains(&schedule.not_before), "{schedule:?}");
    }
}

#[test]
fn a_relay_is_left_alone_as_long_as_it_asks_within_a_day() {
    let mut schedule = Schedule::default();
    schedule.crawl_requested(Duration::ZERO, READ, Outcome::Failed(Some(seconds(0))), FULL);
    assert_eq!(schedule.not_before, seconds(1), "the back-off is the least");
    schedule.crawl_requested(Duration::ZERO, READ, Outcome::Failed(Some(Duration::MAX)), 0);
    assert_eq!(schedule.not_before, Duration::from_hours(24));
}

#[test]
fn the_status_is_read_soon_after_a_request_and_then_every_ten_minutes() {
    let mut schedule = Schedule::default();
    assert_eq!(
        schedule.due(minutes(5), Situation { has_accounts: false, ..READ }),
        None,
        "nobody knows of it yet"
    );
    for outcome in [Outcome::Accepted, Outcome::Refused, Outcome::Failed(Some(minutes(60)))] {
        let mut schedule = Schedule::default();
        schedule.crawl_requested(minutes(5), READ, outcome, FULL);
        assert_eq!(schedule.due(minutes(5) + seconds(2), READ), None);
        assert_eq!(schedule.due(minutes(5) + seconds(3), READ), Some(Step::ReadStatus));
        schedule.status_read(minutes(6), None, FULL);
        assert_eq!(schedule.due(minutes(15), READ), None);
        assert_eq!(schedule.due(minutes(16), READ), Some(Step::ReadStatus));
    }
}

#[test]
fn it_says_when_to_look_again() {
    assert_eq!(Schedule::default().next(minutes(9), Situation { has_accounts: false, ..READ }), None);
    assert_eq!(Schedule::default().next(minutes(9), READ), Some(Duration::ZERO), "at once");
    let mut schedule = accepted(minutes(1), READ);
    schedule.status_at = None;
    assert_eq!(schedule.next(minutes(2), READ), None, "nothing is to come");
    let written = Situation { newest: 101, ..READ };
    let at = schedule.next(minutes(2), written).unwrap();
    assert_eq!(schedule.due(at - Duration::from_nanos(1), written), None);
    assert_eq!(schedule.due(at, written), Some(Step::RequestCrawl));
    // Quiet for 3 of 10 minutes; then for long, but asked not long ago.
    assert_eq!(schedule.next(minutes(5), quiet(3)), Some(minutes(12)));
    assert_eq!(schedule.next(minutes(5), quiet(600)), Some(minutes(11)));
    schedule.lost = true;
    assert_eq!(schedule.next(minutes(5), READ), Some(minutes(11)));
    schedule.not_before = minutes(15);
    assert_eq!(schedule.next(minutes(5), READ), Some(minutes(15)));
    schedule.status_at = Some(minutes(7));
    assert_eq!(schedule.next(minutes(5), READ), Some(minutes(7)));
}
