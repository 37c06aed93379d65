use super::*;
use crate::data::{Value, cbor};

const TIME: &str = "2026-11-21T07:00:00.123Z";

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

/// Header and body of a frame, decoded strictly.
fn parts(frame: &[u8]) -> (Value, Value) {
    let mut reader = Reader::new(frame);
    let header = reader.skip(4).unwrap();
    let body = &frame[header.len()..];
    (cbor::decode(header).unwrap(), cbor::decode(body).unwrap())
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.as_map().unwrap().get(name)
}

#[test]
fn a_commit_has_every_member_of_the_lexicon_and_is_canonical() {
    let ops = [
        RepoOp { path: "com.example.a/1".into(), cid: Some(Cid::dag_cbor(b"new")), prev: None },
        RepoOp {
            path: "com.example.a/2".into(),
            cid: Some(Cid::dag_cbor(b"new")),
            prev: Some(Cid::dag_cbor(b"old")),
        },
        RepoOp { path: "com.example.a/3".into(), cid: None, prev: Some(Cid::dag_cbor(b"old")) },
    ];
    let event = CommitEvent {
        repo: &did(),
        commit: Cid::dag_cbor(b"commit"),
        rev: Tid::new(2_000_000, 1),
        since: Some(Tid::new(1_000_000, 1)),
        prev_data: Some(Cid::dag_cbor(b"root")),
        ops: &ops,
        blocks: b"car",
        time: TIME,
    };
    for seq in [0, 23, 24, 255, 65_536, 1_795_000_000_000_000] {
        let (header, body) = parts(&commit(&event).frame(seq).unwrap());
        assert_eq!(member(&header, "t"), Some(&Value::Text("#commit".into())));
        assert_eq!(member(&header, "op"), Some(&Value::Int(1)));
        assert_eq!(member(&body, "seq"), Some(&Value::Int(i64::try_from(seq).unwrap())));
        assert_eq!(member(&body, "prevData"), Some(&Value::Link(Cid::dag_cbor(b"root"))));
        assert_eq!(member(&body, "since"), Some(&Value::Text(Tid::new(1_000_000, 1).to_string())));
        assert_eq!(member(&body, "blobs"), Some(&Value::List(Vec::new())));
        assert_eq!(member(&body, "tooBig"), Some(&Value::Bool(false)));
        let Some(Value::List(ops)) = member(&body, "ops") else { panic!("ops") };
        let actions: Vec<_> = ops.iter().map(|op| member(op, "action").unwrap().clone()).collect();
        assert_eq!(actions, ["create", "update", "delete"].map(|action| Value::Text(action.into())));
        assert_eq!(
            ops.iter().map(|op| member(op, "prev").is_some()).collect::<Vec<_>>(),
            [false, true, true]
        );
        assert_eq!(member(&ops[2], "cid"), Some(&Value::Null));
    }
    let (_, first) = parts(&commit(&CommitEvent { since: None, prev_data: None, ..event }).frame(1).unwrap());
    assert_eq!(member(&first, "since"), Some(&Value::Null));
    assert_eq!(member(&first, "prevData"), None);
}

#[test]
fn the_other_events_are_canonical_and_say_what_they_mean() {
    let handle = Handle::parse("alice.test").unwrap();
    let (_, with) = parts(&identity(&did(), Some(&handle), TIME).frame(7).unwrap());
    assert_eq!(member(&with, "handle"), Some(&Value::Text("alice.test".into())));
    let (_, without) = parts(&identity(&did(), None, TIME).frame(7).unwrap());
    assert_eq!(member(&without, "handle"), None);

    let (_, active) = parts(&account(&did(), None, TIME).frame(7).unwrap());
    assert_eq!((member(&active, "active"), member(&active, "status")), (Some(&Value::Bool(true)), None));
    let (_, gone) = parts(&account(&did(), Some("deleted"), TIME).frame(7).unwrap());
    assert_eq!(member(&gone, "active"), Some(&Value::Bool(false)));
    assert_eq!(member(&gone, "status"), Some(&Value::Text("deleted".into())));

    let (header, state) = parts(&sync(&did(), Tid::new(5, 5), b"car", TIME).frame(7).unwrap());
    assert_eq!(member(&header, "t"), Some(&Value::Text("#sync".into())));
    assert_eq!(member(&state, "blocks"), Some(&Value::Bytes(b"car".to_vec())));

    let (header, body) = parts(&error("FutureCursor", "Too far."));
    assert_eq!(header.as_map().unwrap().iter().count(), 1);
    assert_eq!(member(&header, "op"), Some(&Value::Int(-1)));
    assert_eq!(member(&body, "error"), Some(&Value::Text("FutureCursor".into())));
    let (_, body) = parts(&info("OutdatedCursor", "Too old."));
    assert_eq!(member(&body, "name"), Some(&Value::Text("OutdatedCursor".into())));
}

#[test]
fn a_gap_outside_the_bytes_gives_no_frame() {
    let event = Unsequenced { bytes: b"abc".as_slice(), gap: 4 };
    assert_eq!(event.frame(1), None);
}

#[test]
fn a_commit_touches_the_collections_of_what_it_creates_and_deletes() {
    let (new, old) = (Some(Cid::dag_cbor(b"new")), Some(Cid::dag_cbor(b"old")));
    let op = |path: &str, cid, prev| RepoOp { path: path.into(), cid, prev };
    let ops = [
        op("com.example.created/1", new, None),
        op("com.example.created/2", new, None),
        op("com.example.deleted/1", None, old),
        op("com.example.updated/1", new, old),
    ];
    let event = CommitEvent {
        repo: &did(),
        commit: Cid::dag_cbor(b"commit"),
        rev: Tid::new(2_000_000, 1),
        since: None,
        prev_data: None,
        ops: &ops,
        blocks: b"car",
        time: TIME,
    };
    let event = commit(&event);
    let expected = BTreeSet::from(["com.example.created", "com.example.deleted"]);
    assert_eq!(touched_collections(&event.bytes), Ok(expected.clone()));
    assert_eq!(touched_collections(&event.frame(1_795_000_000_000_000).unwrap()), Ok(expected));
    for other in [identity(&did(), None, TIME), account(&did(), None, TIME)] {
        assert_eq!(touched_collections(&other.bytes), Ok(BTreeSet::new()));
    }
    for cut in 0..event.bytes.len().min(200) {
        assert!(touched_collections(&event.bytes[..cut]).is_err(), "cut at {cut}");
    }
}
