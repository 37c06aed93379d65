//! did:plc operations: reading and writing agree, and a log that a directory has admitted step by step verifies as a whole.
//!
//! What starts with `{` is JSON: an operation, an entry of an audit log, a DID document. Anything else says which
//! operations are sent to a directory, by whom, on top of what, and when.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_atproto::crypto::{Curve, SecretKey};
use rookery_atproto::identity::did_doc::DidDocument;
use rookery_atproto::identity::plc::{
    DidData, LogEntry, Operation, UnsignedOperation, UnsignedTombstone, admit, check_incoming,
    render_did_doc, validate_next, verify_log,
};
use rookery_atproto::syntax::{Did, Handle};
use rookery_fuzz::Choices;
use serde_json::Value;
use std::sync::LazyLock;

const START: i64 = 1_750_000_000_000_000;
const HOUR: i64 = 3_600_000_000;
/// Operations sent to the directory; each costs a few signature checks.
const STEPS: usize = 8;

static KEYS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let curves = [Curve::K256, Curve::P256].into_iter().cycle();
    (1..=4).zip(curves).map(|(n, curve)| SecretKey::from_bytes(curve, &[n; 32]).expect("a key")).collect()
});

fuzz_target!(|bytes: &[u8]| {
    if bytes.first() == Some(&b'{') {
        read(bytes);
    } else {
        run(Choices::new(bytes));
    }
});

fn read(bytes: &[u8]) {
    if let Ok(operation) = Operation::from_json(bytes) {
        let json = operation.to_json();
        assert_eq!(Operation::from_json(json.to_string().as_bytes()).as_ref(), Ok(&operation));
        assert_eq!(serde_json::from_slice::<Value>(bytes).expect("others read it"), json);
        let did = operation.did_of_genesis();
        assert_eq!(Did::parse(did.as_str()).as_ref(), Ok(&did));
        let _ = check_incoming(&operation);
        if validate_next(&[], &did, &operation, START).is_ok() {
            assert!(operation.prev().is_none() && !operation.is_tombstone());
        }
        if let Some(data) = DidData::of(&operation) {
            render(&did, &data);
        }
    }
    if let Ok(json) = serde_json::from_slice::<Value>(bytes)
        && let Ok(entry) = LogEntry::from_audit_json(&json)
    {
        // Times are shown in milliseconds.
        let again = LogEntry::from_audit_json(&entry.to_audit_json()).expect("our own entry");
        assert_eq!((&again.operation, again.cid, &again.did), (&entry.operation, entry.cid, &entry.did));
        let _ = verify_log(&[entry]);
    }
    if let Ok(document) = DidDocument::parse(bytes) {
        let _ = (document.signing_key(), document.pds_endpoint(), document.handle());
        assert_eq!(DidDocument::from_value(document.as_json().clone()).as_ref(), Ok(&document));
    }
}

fn render(did: &Did, data: &DidData) {
    let document = render_did_doc(did, data).to_string();
    if let Ok(document) = DidDocument::parse_for(did, document.as_bytes()) {
        let _ = (document.signing_key(), document.pds_endpoint(), document.handle());
    }
}

/// A directory with one DID.
fn run(mut choices: Choices<'_>) {
    let genesis = genesis(&mut choices);
    let did = genesis.did_of_genesis();
    let (mut log, mut now) = (Vec::<LogEntry>::new(), START);
    let mut sent = vec![genesis];
    for _ in 0..STEPS {
        let operation = sent.last().expect("the genesis at least").clone();
        if let Ok(admitted) = admit(&log, &did, &operation, now) {
            assert_eq!(admitted.entry.operation, operation);
            for entry in &mut log {
                entry.nullified |= admitted.nullified.contains(&entry.cid);
            }
            log.push(admitted.entry);
            let state = verify_log(&log).expect("what was admitted verifies");
            assert_eq!(state.is_none(), in_force(&log).is_tombstone());
            if let Some(data) = state {
                render(&did, &data);
            }
        }
        let Some(next) = next(&mut choices, &sent, &mut now) else { return };
        sent.push(next);
    }
}

fn in_force(log: &[LogEntry]) -> &Operation {
    &log.iter().rfind(|entry| !entry.nullified).expect("the newest is never nullified").operation
}

fn genesis(choices: &mut Choices<'_>) -> Operation {
    let first = choices.below(KEYS.len()).unwrap_or(0);
    let rotation = KEYS.iter().cycle().skip(first).take(3).map(|key| key.public().to_did_key()).collect();
    let handle = Handle::parse("alice.test").expect("a handle");
    UnsignedOperation::atproto_genesis(&KEYS[0].public(), &handle, "https://pds.example.com", rotation)
        .sign(&KEYS[(first + choices.below(4).unwrap_or(0)) % KEYS.len()])
}

/// Another operation on top of one that was sent before, now or some hours later or earlier.
fn next(choices: &mut Choices<'_>, sent: &[Operation], now: &mut i64) -> Option<Operation> {
    let (what, hours) = (choices.byte()?, choices.byte()?);
    *now += (i64::from(hours) - 64) * HOUR / 4;
    let on = sent.iter().rev().nth(usize::from(what >> 6)).or(sent.first())?;
    let signer = &KEYS[usize::from(what) % KEYS.len()];
    let kind = what >> 2 & 0xf;
    if kind == 0 {
        return Some(UnsignedTombstone { prev: on.cid() }.sign(signer));
    }
    let mut next = UnsignedOperation::following(on)?;
    match kind {
        1..4 if !next.rotation_keys.is_empty() => next.rotation_keys.rotate_left(1),
        4 => next.rotation_keys.clear(),
        5 => next.prev = None,
        6 => next.also_known_as.extend(next.also_known_as.clone()),
        _ => next.also_known_as = vec![format!("at://h{hours}.test")],
    }
    Some(next.sign(signer))
}
