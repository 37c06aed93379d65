use proptest::prelude::*;

use super::*;

fn digest(n: u8) -> [u8; 16] {
    [n; 16]
}

#[test]
fn a_proof_is_taken_once() {
    let mut guard = ReplayGuard::new(60, 10);
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1000), Ok(()));
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1001), Err(ReplayError::Replayed));
    assert_eq!(guard.check_and_insert(digest(2), 1000, 1001), Ok(()));
    assert_eq!(guard.len(), 2);
}

#[test]
fn a_jti_used_again_in_a_later_second_is_refused() {
    let mut guard = ReplayGuard::new(60, 10);
    guard.check_and_insert(digest(1), 1000, 1000).unwrap();
    assert_eq!(guard.check_and_insert(digest(1), 1005, 1005), Err(ReplayError::Replayed));
}

#[test]
fn proofs_are_forgotten_when_they_leave_the_window() {
    let mut guard = ReplayGuard::new(60, 10);
    guard.check_and_insert(digest(1), 1000, 1000).unwrap();
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1060), Err(ReplayError::Replayed));
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1061), Err(ReplayError::TooOld));
    assert!(guard.is_empty());
}

#[test]
fn a_clock_set_back_does_not_bring_forgotten_proofs_back() {
    let mut guard = ReplayGuard::new(60, 10);
    guard.check_and_insert(digest(1), 1000, 1000).unwrap();
    guard.check_and_insert(digest(2), 2000, 2000).unwrap();
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1000), Err(ReplayError::TooOld));
}

#[test]
fn proofs_from_the_future_do_not_fill_the_memory() {
    let mut guard = ReplayGuard::new(60, 10);
    assert_eq!(guard.check_and_insert(digest(1), 1061, 1000), Err(ReplayError::TooNew));
    assert_eq!(guard.check_and_insert(digest(1), 1060, 1000), Ok(()));
}

#[test]
fn a_full_guard_forgets_the_oldest_second_and_refuses_it_from_then_on() {
    let mut guard = ReplayGuard::new(60, 2);
    guard.check_and_insert(digest(1), 1000, 1001).unwrap();
    guard.check_and_insert(digest(2), 1001, 1001).unwrap();
    assert_eq!(guard.check_and_insert(digest(3), 1001, 1001), Ok(()));
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1001), Err(ReplayError::TooOld));
    assert_eq!(guard.check_and_insert(digest(4), 1001, 1001), Err(ReplayError::TooOld));
    assert_eq!(guard.check_and_insert(digest(4), 1002, 1002), Ok(()));
    assert_eq!(guard.len(), 1);
}

#[test]
fn after_a_restart_older_proofs_are_refused() {
    let mut guard = ReplayGuard::new(60, 10);
    guard.refuse_before(1000);
    assert_eq!(guard.check_and_insert(digest(1), 999, 1000), Err(ReplayError::TooOld));
    assert_eq!(guard.check_and_insert(digest(1), 1000, 1000), Ok(()));
    guard.refuse_before(1001);
    assert!(guard.is_empty());
}

#[test]
fn two_keys_may_use_the_same_jti() {
    let (a, b) = (Thumbprint::from_bytes([1; 32]), Thumbprint::from_bytes([2; 32]));
    assert_ne!(proof_digest(&a, "1"), proof_digest(&b, "1"));
    assert_ne!(proof_digest(&a, "1"), proof_digest(&a, "2"));
    assert_eq!(proof_digest(&a, "1"), proof_digest(&a, "1"));
}

#[test]
fn extreme_times_are_no_trouble() {
    let mut guard = ReplayGuard::new(i64::MAX, 0);
    for time in [i64::MIN, 0, i64::MAX] {
        for iat in [i64::MIN, 0, i64::MAX] {
            let _ = guard.check_and_insert(digest(1), iat, time);
        }
    }
    guard.refuse_before(i64::MIN);
    assert!(guard.len() <= 1);
}

proptest! {
    /// Few digests, few seconds and a clock that goes either way, so that every case is met often.
    #[test]
    fn no_proof_is_taken_twice_and_memory_is_bounded(
        capacity in 1_usize..8,
        window in 0_i64..6,
        steps in prop::collection::vec((0_u8..6, 0_i64..20, 0_i64..20, any::<bool>()), 0..200),
    ) {
        let mut guard = ReplayGuard::new(window, capacity);
        let mut taken = HashSet::new();
        for (n, iat, now, restart) in steps {
            if restart && n == 0 {
                guard.refuse_before(iat);
            }
            if guard.check_and_insert(digest(n), iat, now).is_ok() {
                prop_assert!(taken.insert((n, iat)), "taken twice: {n} {iat}");
            }
            prop_assert!(guard.len() <= capacity);
            prop_assert_eq!(guard.len(), guard.seconds.values().map(Vec::len).sum::<usize>());
        }
    }
}
