use super::*;

fn check(change: impl FnOnce(&mut UnsignedOperation)) -> Result<(), PlcError> {
    let mut operation = genesis(&[0]);
    change(&mut operation);
    check_incoming(&operation.sign(&key(0)))
}

fn service(type_: &str, endpoint: &str) -> Service {
    Service { type_: type_.to_owned(), endpoint: endpoint.to_owned() }
}

#[test]
fn an_operation_has_at_most_4000_bytes() {
    let op = |last_endpoint: usize| {
        let mut operation = genesis(&[0]);
        operation.also_known_as = (0..9).map(|number| format!("{number:0>258}")).collect();
        operation.services = [("a", 500), ("b", 500), ("c", last_endpoint)]
            .map(|(name, endpoint)| (name.to_owned(), service("T", &"e".repeat(endpoint))))
            .into();
        operation.sign(&key(0))
    };
    // From 256 bytes on the head of a text stays as long, so that each character is one byte more.
    let longest = 256 + MAX_OPERATION_BYTES - op(256).to_cbor().len();
    assert_eq!(op(longest).to_cbor().len(), MAX_OPERATION_BYTES);
    assert_eq!(check_incoming(&op(longest)), Ok(()));
    assert_eq!(check_incoming(&op(longest + 1)), Err(PlcError::TooLarge(MAX_OPERATION_BYTES + 1)));
}

#[test]
fn lists_have_at_most_ten_entries() {
    let too_many = |field| Err(PlcError::TooMany { field, max: 10 });
    let names = |count: u8| (0..count).map(|number| format!("n{number}"));

    assert_eq!(check(|op| op.also_known_as = names(10).collect()), Ok(()));
    assert_eq!(check(|op| op.also_known_as = names(11).collect()), too_many("alsoKnownAs"));
    let keys = |count: usize| did_keys(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..count]);
    assert_eq!(check(|op| op.rotation_keys = keys(10)), Ok(()));
    assert_eq!(check(|op| op.rotation_keys = keys(11)), too_many("rotationKeys"));
    let services = |count| names(count).map(|name| (name, service("T", "e"))).collect();
    assert_eq!(check(|op| op.services = services(10)), Ok(()));
    assert_eq!(check(|op| op.services = services(11)), too_many("services"));
    let methods = |count| {
        let did_key = key(1).public().to_did_key();
        names(count).map(|name| (name, did_key.clone())).collect()
    };
    assert_eq!(check(|op| op.verification_methods = methods(10)), Ok(()));
    assert_eq!(check(|op| op.verification_methods = methods(11)), too_many("verificationMethods"));
}

#[test]
fn texts_have_their_longest_length_in_utf_16_units() {
    let refused = |result: Result<(), PlcError>, longest| {
        assert!(matches!(result, Err(PlcError::TooLong { max, .. }) if max == longest), "{result:?}");
    };
    let service_with = |id: usize, type_: usize, endpoint: usize| {
        check(|op| {
            let service = service(&"t".repeat(type_), &"e".repeat(endpoint));
            op.services = [("i".repeat(id), service)].into();
        })
    };
    assert_eq!(service_with(32, 256, 512), Ok(()));
    refused(service_with(33, 256, 512), 32);
    refused(service_with(32, 257, 512), 256);
    refused(service_with(32, 256, 513), 512);

    // A crab is two units and four bytes.
    assert_eq!(check(|op| op.also_known_as = vec!["🦀".repeat(129)]), Ok(()));
    refused(check(|op| op.also_known_as = vec!["🦀".repeat(129) + "x"]), 258);

    let method =
        |id: usize, key: String| check(|op| op.verification_methods = [("i".repeat(id), key)].into());
    let key_of = |length: usize| format!("did:key:z{}", "2".repeat(length - 9));
    assert_eq!(method(32, key_of(256)), Ok(()));
    refused(method(33, key_of(60)), 32);
    refused(method(32, key_of(257)), 256);
}

#[test]
fn keys_and_aliases_are_checked() {
    let ed25519 = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    for odd in ["", "did:key:zOdd", ed25519, "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"] {
        let refused = check(|op| op.rotation_keys.push(odd.to_owned()));
        assert_eq!(refused, Err(PlcError::RotationKey(odd.to_owned())));
    }
    let method = |key: &str| {
        check(|op| {
            op.verification_methods.insert("other".to_owned(), key.to_owned());
        })
    };
    assert_eq!(method(ed25519), Ok(()), "any type of key may be a verification method");
    for odd in ["", "did:key:", "did:key:m111", "did:key:z0", "did:web:example.com"] {
        assert_eq!(method(odd), Err(PlcError::VerificationKey(odd.to_owned())));
    }
    let twice = check(|op| op.also_known_as = vec!["at://a.test".into(), "at://a.test".into()]);
    assert_eq!(twice, Err(PlcError::DuplicateAlias("at://a.test".to_owned())));
    assert_eq!(check(|op| op.rotation_keys.push(did_keys(&[0])[0].clone())), Ok(()));
}

#[test]
fn deprecated_operations_are_in_logs_only() {
    let create = LegacyCreate {
        signing_key: did_keys(&[1])[0].clone(),
        recovery_key: did_keys(&[0])[0].clone(),
        handle: "alice.test".to_owned(),
        service: "pds.example.com".to_owned(),
    };
    let content = Content::LegacyCreate(create);
    let sig = key(0).sign(&content.signing_bytes());
    let op = Operation { content, sig: data_encoding::BASE64URL_NOPAD.encode(&sig) };
    assert_eq!(check_incoming(&op), Err(PlcError::LegacyCreate));
    validate_next(&[], &op.did_of_genesis(), &op, START).unwrap();

    let state = DidData::of(&op).unwrap();
    assert_eq!(state.also_known_as, ["at://alice.test"]);
    assert_eq!(state.services["atproto_pds"].endpoint, "https://pds.example.com");
    assert_eq!(state.rotation_keys, did_keys(&[0, 1]));
}

#[test]
fn a_did_changes_at_most_10_times_an_hour_30_a_day_100_a_week() {
    let genesis = genesis(&[0]).sign(&key(0));
    let entry = LogEntry {
        did: genesis.did_of_genesis(),
        cid: genesis.cid(),
        operation: genesis,
        nullified: false,
        created_at_micros: 0,
    };
    let log = |count: i64, every: i64| -> Vec<LogEntry> {
        let at = |number: i64| LogEntry { created_at_micros: START - number * every, ..entry.clone() };
        (1..=count).map(at).collect()
    };
    let minute = HOUR / 60;
    let limited = |window, max| Err(PlcError::RateLimited { window, max });

    assert_eq!(check_rate(&log(9, minute), START), Ok(()));
    assert_eq!(check_rate(&log(10, minute), START), limited("hour", 10));
    assert_eq!(check_rate(&log(10, 6 * minute), START), Ok(()), "one is just an hour old");
    assert_eq!(check_rate(&log(29, 10 * minute), START), Ok(()));
    assert_eq!(check_rate(&log(30, 10 * minute), START), limited("day", 30));
    assert_eq!(check_rate(&log(99, HOUR), START), Ok(()));
    assert_eq!(check_rate(&log(100, HOUR), START), limited("week", 100));
    assert_eq!(check_rate(&log(1_000, 2 * HOUR), START), Ok(()));

    let mut nullified = log(50, minute);
    nullified.iter_mut().for_each(|entry| entry.nullified = true);
    assert_eq!(check_rate(&nullified, START), Ok(()));
}

#[test]
fn a_recovery_is_not_limited_in_rate() {
    let genesis = genesis(&[0, 1]).sign(&key(1));
    let mut directory = Directory::created_by(&genesis);
    let mut last = genesis.clone();
    for number in 0..9 {
        let next = rename(&last, &format!("name{number}.test"), 1);
        directory.submit(&next, START + 1_000).unwrap();
        last = next;
    }
    let refused = directory.submit(&rename(&last, "more.test", 1), START + 20_000);
    assert!(matches!(refused, Err(PlcError::RateLimited { window: "hour", .. })));
    directory.submit(&rename(&genesis, "alice.test", 0), START + 20_000).unwrap();
    assert_eq!(directory.handle().unwrap(), "at://alice.test");
}
