use proptest::prelude::*;

use super::*;
use crate::data::cid::Cid;

#[test]
fn an_identity_is_created_changed_recovered_and_ended() {
    let genesis = genesis(&[0, 1]).sign(&key(1));
    let mut directory = Directory::created_by(&genesis);
    assert_eq!(directory.handle().unwrap(), "at://alice.test");

    let renamed = rename(&genesis, "bob.test", 1);
    directory.submit(&renamed, START + HOUR).unwrap();
    let stolen = rename(&renamed, "mallory.test", 1);
    directory.submit(&stolen, START + 2 * HOUR).unwrap();
    assert_eq!(directory.handle().unwrap(), "at://mallory.test");

    let recovered = rename(&renamed, "carol.test", 0);
    directory.submit(&recovered, START + 3 * HOUR).unwrap();
    assert_eq!(directory.handle().unwrap(), "at://carol.test");
    assert_eq!(directory.nullified(), [false, false, true, false]);

    let after_stolen = rename(&stolen, "dave.test", 0);
    let refused = directory.submit(&after_stolen, START + 4 * HOUR);
    assert_eq!(refused, Err(PlcError::UnknownPrev(stolen.cid())));

    let tombstone = UnsignedTombstone { prev: recovered.cid() }.sign(&key(1));
    directory.submit(&tombstone, START + 5 * HOUR).unwrap();
    assert_eq!(directory.handle(), None);
    assert_eq!(UnsignedOperation::following(&tombstone), None);

    let mut revived = UnsignedOperation::following(&recovered).unwrap();
    revived.prev = Some(tombstone.cid());
    let refused = directory.submit(&revived.clone().sign(&key(0)), START + 6 * HOUR);
    assert_eq!(refused, Err(PlcError::Tombstoned));

    revived.prev = Some(recovered.cid());
    directory.submit(&revived.sign(&key(0)), START + 6 * HOUR).unwrap();
    assert_eq!(directory.handle().unwrap(), "at://carol.test");
    assert_eq!(directory.nullified(), [false, false, true, false, true, false]);
}

#[test]
fn a_recovery_has_72_hours_and_not_a_millisecond_more() {
    let genesis = genesis(&[0, 1]).sign(&key(1));
    let disputed = rename(&genesis, "mallory.test", 1);
    let recovery = rename(&genesis, "alice.test", 0);
    let window = START + HOUR + 72 * HOUR;
    for (now, accepted) in
        [(window - 1_000, true), (window, true), (window + 1_000, false), (window + 1_000 * HOUR, false)]
    {
        let mut directory = Directory::created_by(&genesis);
        directory.submit(&disputed, START + HOUR).unwrap();
        let result = directory.submit(&recovery, now);
        let lapsed_micros = now - START - HOUR;
        let expected = if accepted { Ok(()) } else { Err(PlcError::LateRecovery { lapsed_micros }) };
        assert_eq!(result, expected);
        assert_eq!(directory.nullified().contains(&true), accepted);
    }
}

#[test]
fn the_window_counts_from_the_first_disputed_operation() {
    let genesis = genesis(&[0, 1]).sign(&key(1));
    let mut directory = Directory::created_by(&genesis);
    let first = rename(&genesis, "one.test", 1);
    directory.submit(&first, START + HOUR).unwrap();
    let second = rename(&first, "two.test", 1);
    directory.submit(&second, START + 60 * HOUR).unwrap();
    let late = directory.submit(&rename(&genesis, "alice.test", 0), START + 80 * HOUR);
    assert!(matches!(late, Err(PlcError::LateRecovery { .. })));
    directory.submit(&rename(&first, "alice.test", 0), START + 80 * HOUR).unwrap();
    assert_eq!(directory.nullified(), [false, false, true, false]);
}

#[test]
fn only_a_more_powerful_key_may_recover() {
    let genesis = genesis(&[0, 1, 2]).sign(&key(0));
    for (signer, recoverer, allowed) in [
        (2, 0, true),
        (2, 1, true),
        (1, 0, true),
        (2, 2, false),
        (1, 1, false),
        (1, 2, false),
        (0, 0, false),
        (0, 1, false),
    ] {
        let mut directory = Directory::created_by(&genesis);
        directory.submit(&rename(&genesis, "bob.test", signer), START + HOUR).unwrap();
        let recovery = rename(&genesis, "carol.test", recoverer);
        let expected = if allowed { Ok(()) } else { Err(PlcError::Signature) };
        assert_eq!(directory.submit(&recovery, START + 2 * HOUR), expected);
    }
}

#[test]
fn a_key_listed_twice_counts_where_it_is_first() {
    let genesis = genesis(&[1, 0, 1]).sign(&key(1));
    let mut directory = Directory::created_by(&genesis);
    directory.submit(&rename(&genesis, "bob.test", 1), START + HOUR).unwrap();
    let recovery = rename(&genesis, "carol.test", 0);
    assert_eq!(directory.submit(&recovery, START + 2 * HOUR), Err(PlcError::Signature));
}

#[test]
fn keys_of_the_operation_before_decide_not_its_own() {
    let genesis = genesis(&[0]).sign(&key(0));
    let mut directory = Directory::created_by(&genesis);
    let mut takeover = UnsignedOperation::following(&genesis).unwrap();
    takeover.rotation_keys = did_keys(&[5]);
    let refused = directory.submit(&takeover.clone().sign(&key(5)), START + HOUR);
    assert_eq!(refused, Err(PlcError::Signature));

    let handover = takeover.sign(&key(0));
    directory.submit(&handover, START + HOUR).unwrap();
    let by_old_key = rename(&handover, "bob.test", 0);
    assert_eq!(directory.submit(&by_old_key, START + 2 * HOUR), Err(PlcError::Signature));
    let by_new_key = rename(&handover, "bob.test", 5);
    directory.submit(&by_new_key, START + 2 * HOUR).unwrap();
}

#[test]
fn without_rotation_keys_nothing_more_can_happen() {
    let genesis = genesis(&[0]).sign(&key(0));
    let mut directory = Directory::created_by(&genesis);
    let mut frozen = UnsignedOperation::following(&genesis).unwrap();
    frozen.rotation_keys.clear();
    let frozen = frozen.sign(&key(0));
    directory.submit(&frozen, START + HOUR).unwrap();
    let refused = directory.submit(&rename(&frozen, "bob.test", 0), START + 2 * HOUR);
    assert_eq!(refused, Err(PlcError::Signature));
}

#[test]
fn a_genesis_is_checked_against_its_did() {
    let did = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let own = genesis(&[0]).sign(&key(0));
    let refuse = |op: &Operation, did: &Did| admit(&[], did, op, START).unwrap_err();

    assert_eq!(refuse(&own, &did), PlcError::GenesisHash(own.did_of_genesis()));
    let unknown_signer = genesis(&[0]).sign(&key(1));
    assert_eq!(refuse(&unknown_signer, &unknown_signer.did_of_genesis()), PlcError::Signature);
    let tombstone = UnsignedTombstone { prev: own.cid() }.sign(&key(0));
    assert_eq!(refuse(&tombstone, &tombstone.did_of_genesis()), PlcError::GenesisTombstone);
    let update = rename(&own, "bob.test", 0);
    assert_eq!(refuse(&update, &update.did_of_genesis()), PlcError::GenesisPrev);
    assert!(matches!(refuse(&update, &own.did_of_genesis()), PlcError::GenesisHash(_)));
}

#[test]
fn prev_must_be_in_the_log() {
    let genesis = genesis(&[0]).sign(&key(0));
    let mut directory = Directory::created_by(&genesis);
    assert_eq!(directory.submit(&genesis, START + HOUR), Err(PlcError::MissingPrev));
    let mut next = UnsignedOperation::following(&genesis).unwrap();
    let unknown = Cid::dag_cbor(b"unknown");
    next.prev = Some(unknown);
    let refused = directory.submit(&next.sign(&key(0)), START + HOUR);
    assert_eq!(refused, Err(PlcError::UnknownPrev(unknown)));
}

#[test]
fn the_same_operation_twice_is_refused() {
    let genesis = genesis(&[0, 1]).sign(&key(0));
    let mut directory = Directory::created_by(&genesis);
    let renamed = rename(&genesis, "bob.test", 1);
    directory.submit(&renamed, START + HOUR).unwrap();
    assert_eq!(directory.submit(&renamed, START + HOUR), Err(PlcError::Signature));
    let log = directory.log.clone();
    directory.submit(&rename(&genesis, "carol.test", 0), START + 2 * HOUR).unwrap();
    assert_eq!(directory.submit(&renamed, START + 3 * HOUR), Err(PlcError::Signature));
    assert_eq!(directory.log[0], log[0]);
}

#[test]
fn times_in_the_log_go_up_in_whole_milliseconds_whatever_the_clock_does() {
    let genesis = genesis(&[0]).sign(&key(0));
    let mut directory = Directory::created_by(&genesis);
    let mut last = genesis;
    for (number, now) in [START + 999, START - HOUR, START + 1_500, START + 9_999].into_iter().enumerate() {
        let next = rename(&last, &format!("name{number}.test"), 0);
        directory.submit(&next, now).unwrap();
        last = next;
    }
    let times: Vec<i64> = directory.log.iter().map(|entry| entry.created_at_micros - START).collect();
    assert_eq!(times, [0, 1_000, 2_000, 3_000, 9_000]);
    verify_log(&directory.log).unwrap();
}

#[test]
fn a_log_whose_time_goes_back_is_refused() {
    let genesis = genesis(&[0]).sign(&key(0));
    let mut directory = Directory::created_by(&genesis);
    directory.submit(&rename(&genesis, "bob.test", 0), START + HOUR).unwrap();
    directory.log[1].created_at_micros = START - 1_000;
    assert_eq!(verify_log(&directory.log), Err(PlcError::Time));
}

#[test]
fn a_key_that_cannot_be_parsed_signs_nothing_and_harms_nothing() {
    let mut with_odd_key = genesis(&[0]);
    with_odd_key.rotation_keys.insert(0, "did:key:zOdd".to_owned());
    let op = with_odd_key.sign(&key(0));
    // Not acceptable today, but a log may hold it.
    assert!(matches!(check_incoming(&op), Err(PlcError::RotationKey(_))));
    validate_next(&[], &op.did_of_genesis(), &op, START).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is submitted, what the directory has accepted is a log that verifies.
    #[test]
    fn every_log_that_a_directory_makes_verifies(
        steps in prop::collection::vec((0..8usize, 0..4u8, 0..3u8, 0..40i64), 1..9)
    ) {
        let genesis = genesis(&[0, 1, 2]).sign(&key(2));
        let mut directory = Directory::created_by(&genesis);
        let mut made = vec![genesis];
        let mut now = START;
        for (number, (prev, signer, kind, hours)) in steps.into_iter().enumerate() {
            now += hours * HOUR;
            let prev = &made[prev % made.len()];
            let op = match UnsignedOperation::following(prev) {
                Some(mut next) if kind > 0 => {
                    next.also_known_as = vec![format!("at://name{number}.test")];
                    if kind == 2 {
                        next.rotation_keys.rotate_left(1);
                    }
                    next.sign(&key(signer))
                }
                _ => UnsignedTombstone { prev: prev.cid() }.sign(&key(signer)),
            };
            let before = directory.log.clone();
            if directory.submit(&op, now).is_err() {
                prop_assert_eq!(&directory.log, &before);
            }
            made.push(op);
            let state = verify_log(&directory.log).unwrap();
            let last = directory.log.iter().rfind(|entry| !entry.nullified).unwrap();
            prop_assert_eq!(state.is_none(), last.operation.is_tombstone());
        }
    }
}
