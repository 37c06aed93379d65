use super::*;
use rookery_atproto::data::cbor::encode;

const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const REV: &str = "3jzfcijpj2z2a";

fn map(members: Vec<(&str, Value)>) -> Map {
    Map::from_entries(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).unwrap()
}

fn frame(op: i64, t: &str, body: &Map) -> Vec<u8> {
    let mut header = map(vec![("op", op.into())]);
    if !t.is_empty() {
        header.insert("t", t);
    }
    [encode(&header.into()), encode(&body.clone().into())].concat()
}

fn bytes(length: usize) -> Value {
    Value::Bytes(vec![0; length])
}

fn operation() -> Map {
    map(vec![
        ("action", "create".into()),
        ("path", "com.example.note/a".into()),
        ("cid", Cid::dag_cbor(b"record").into()),
    ])
}

fn commit() -> Map {
    map(vec![
        ("seq", 7.into()),
        ("repo", DID.into()),
        ("time", "2026-11-21T07:00:00.123Z".into()),
        ("rebase", false.into()),
        ("tooBig", false.into()),
        ("blobs", Vec::new().into()),
        ("commit", Cid::dag_cbor(b"commit").into()),
        ("rev", REV.into()),
        ("since", Value::Null),
        ("prevData", Cid::dag_cbor(b"tree").into()),
        ("ops", vec![operation().into()].into()),
        ("blocks", bytes(3)),
    ])
}

fn other(members: Vec<(&str, Value)>) -> Map {
    let mut all = map(members);
    for (name, value) in [("did", DID), ("time", "2026-11-21T07:00:00.123Z")] {
        all.insert(name, value);
    }
    all.insert("seq", 7);
    all
}

fn sync() -> Map {
    other(vec![("rev", REV.into()), ("blocks", bytes(3))])
}

fn account() -> Map {
    other(vec![("active", false.into()), ("status", "deactivated".into())])
}

fn identity() -> Map {
    other(vec![("handle", "alice.test".into())])
}

fn info() -> Map {
    map(vec![("name", "OutdatedCursor".into()), ("message", "It is.".into())])
}

#[test]
fn every_kind_of_frame_is_read() {
    let Ok(Frame::Event(event)) = Frame::decode(&frame(1, "#commit", &commit())) else { panic!("an event") };
    assert_eq!((event.seq, event.did.as_str()), (7, DID));
    let Body::Commit(told) = event.body else { panic!("a commit") };
    assert_eq!((told.rev.to_string().as_str(), told.since, told.blocks.len()), (REV, None, 3));
    assert_eq!(told.ops[0].path, "com.example.note/a");
    for (t, body) in [("#sync", sync()), ("#account", account()), ("#identity", identity())] {
        let read = Frame::decode(&frame(1, t, &body)).unwrap();
        assert_eq!(read.event().unwrap().seq, 7, "{t}");
    }
    let notice = Notice { name: "OutdatedCursor".into(), message: Some("It is.".into()) };
    assert_eq!(Frame::decode(&frame(1, "#info", &info())).unwrap(), Frame::Info(notice));
    let error = map(vec![("error", "FutureCursor".into())]);
    let notice = Notice { name: "FutureCursor".into(), message: None };
    assert_eq!(Frame::decode(&frame(-1, "", &error)).unwrap(), Frame::Error(notice));
}

#[test]
fn members_are_exactly_those_of_the_lexicon() {
    let optional = ["prevData", "handle", "status", "message"];
    let kinds = [
        ("#commit", commit()),
        ("#sync", sync()),
        ("#account", account()),
        ("#identity", identity()),
        ("#info", info()),
    ];
    for (t, whole) in kinds {
        for (name, _) in whole.iter() {
            let mut body = whole.clone();
            body.remove(name);
            let read = Frame::decode(&frame(1, t, &body));
            let fits = matches!(read, Err(FrameFault::Missing { name: missing, .. }) if missing == name);
            assert!(if optional.contains(&name) { read.is_ok() } else { fits }, "{t} without {name}");

            // No member is a map.
            let mut body = whole.clone();
            body.insert(name, Map::new());
            let read = Frame::decode(&frame(1, t, &body));
            assert!(
                matches!(read, Err(FrameFault::Wrong { name: wrong, .. }) if wrong == name),
                "{t} with {name}"
            );
        }
        for more in ["$type", "prev", "did2"] {
            let mut body = whole.clone();
            body.insert(more, "x");
            let read = Frame::decode(&frame(1, t, &body));
            assert!(matches!(read, Err(FrameFault::Unknown { .. })), "{t} with {more}: {read:?}");
        }
    }
    for (name, value) in [
        ("action", Value::Null),
        ("path", 1.into()),
        ("cid", "x".into()),
        ("prev", Value::Null),
        ("more", 1.into()),
    ] {
        let mut op = operation();
        op.insert(name, value);
        let mut body = commit();
        body.insert("ops", vec![op.into()]);
        assert!(Frame::decode(&frame(1, "#commit", &body)).is_err(), "{name}");
    }
}

#[test]
fn values_that_are_wrong_are_refused() {
    let wrong: [(&str, Map, &str, Value); 19] = [
        ("#commit", commit(), "seq", 0.into()),
        ("#commit", commit(), "seq", (-1).into()),
        ("#commit", commit(), "seq", (1_i64 << 53).into()),
        ("#commit", commit(), "repo", "alice.test".into()),
        ("#commit", commit(), "time", "yesterday".into()),
        ("#commit", commit(), "rev", "today".into()),
        ("#commit", commit(), "since", "".into()),
        ("#commit", commit(), "prevData", Value::Null),
        ("#commit", commit(), "rebase", true.into()),
        ("#commit", commit(), "tooBig", true.into()),
        ("#commit", commit(), "blobs", vec![Cid::raw(b"blob").into()].into()),
        ("#commit", commit(), "ops", vec![operation().into(); MAX_OPS + 1].into()),
        ("#commit", commit(), "blocks", bytes(MAX_COMMIT_BLOCKS + 1)),
        ("#sync", sync(), "blocks", bytes(MAX_SYNC_BLOCKS + 1)),
        ("#sync", sync(), "did", "did:".into()),
        ("#identity", identity(), "handle", "alice".into()),
        ("#identity", identity(), "handle", Value::Null),
        ("#account", account(), "active", 1.into()),
        ("#account", account(), "status", Value::Null),
    ];
    for (t, mut body, name, value) in wrong {
        body.insert(name, value);
        let read = Frame::decode(&frame(1, t, &body));
        assert!(matches!(read, Err(FrameFault::Wrong { .. })), "{t} with another {name}: {read:?}");
    }
    let mut most = commit();
    most.insert("ops", vec![Value::from(operation()); MAX_OPS]);
    most.insert("blocks", bytes(MAX_COMMIT_BLOCKS));
    most.insert("seq", (1 << 53) - 1);
    assert!(Frame::decode(&frame(1, "#commit", &most)).is_ok(), "the limits are within them");
    most.insert("blocks", bytes(MAX_FRAME));
    assert!(matches!(Frame::decode(&frame(1, "#commit", &most)), Err(FrameFault::TooLong(_))));
}

#[test]
fn headers_and_encodings_that_are_wrong_are_refused() {
    for (op, t) in
        [(1, ""), (1, "commit"), (1, "#tombstone"), (-1, "#commit"), (0, "#commit"), (2, "#commit")]
    {
        let read = Frame::decode(&frame(op, t, &commit()));
        assert!(matches!(read, Err(FrameFault::Header { .. })), "{op} {t}: {read:?}");
    }
    let good = frame(1, "#account", &account());
    for end in 0..good.len() {
        assert!(Frame::decode(&good[..end]).is_err(), "cut at {end}");
    }
    assert!(Frame::decode(&[&good[..], &[0xf6]].concat()).is_err(), "something follows");
    // The number 1 in two bytes.
    let mut loose = good.clone();
    let at = loose.windows(3).position(|window| window == [0x62, b'o', b'p']).unwrap() + 3;
    loose.splice(at..=at, [0x18, 1]);
    assert!(matches!(Frame::decode(&loose), Err(FrameFault::Cbor(_))), "only the shortest form");
    let with_more = [
        encode(&map(vec![("op", 1.into()), ("t", "#info".into()), ("x", 1.into())]).into()),
        encode(&info().into()),
    ];
    assert!(matches!(Frame::decode(&with_more.concat()), Err(FrameFault::Unknown { .. })));
}
