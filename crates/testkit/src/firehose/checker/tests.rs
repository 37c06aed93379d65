//! Each rule is broken once, by a host that can forge anything.

use super::*;
use crate::firehose::frame::{Commit as Told, Op};
use bytes::Bytes;
use rookery_atproto::car::{self, CarError};
use rookery_atproto::crypto::{Curve, SecretKey};
use rookery_atproto::data::{Map, Value, cbor};
use rookery_atproto::mst::{BlockMap, Mst, NodeSource, Place, Step, walk};
use rookery_atproto::repo::{Action, Applied, Commit, Head, RepoOp, Write, apply, create};
use rookery_atproto::syntax::Datetime;

const NOW: u64 = 1_800_000_000_000_000;
const NOTE: &str = "com.example.note";

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_bytes(Curve::K256, &[5; 32]).unwrap()
}

fn path(n: i64) -> String {
    format!("{NOTE}/{n:04}")
}

fn record(n: i64) -> (Cid, Bytes) {
    record_of(NOTE, n)
}

fn record_of(collection: &str, n: i64) -> (Cid, Bytes) {
    let mut value = Map::new();
    value.insert("$type", collection);
    value.insert("n", n);
    let block = cbor::encode(&value.into());
    (Cid::dag_cbor(&block), block.into())
}

fn put(n: i64, version: i64) -> (String, Option<(Cid, Bytes)>) {
    (path(n), Some(record(version)))
}

fn delete(n: i64) -> (String, Option<(Cid, Bytes)>) {
    (path(n), None)
}

/// A host with one account.
struct Host {
    seq: u64,
    head: Head,
    blocks: BlockMap,
}

impl Host {
    /// With the events of the signup.
    fn signup() -> (Self, Vec<Event>) {
        let mut first = create(&did(), Tid::new(NOW - 1000, 1), &key()).unwrap();
        let mut host = Self { seq: 0, head: first.head, blocks: BlockMap::new() };
        let identity = host.event(Body::Identity { handle: Some(Handle::parse("alice.test").unwrap()) });
        let account = host.event(Body::Account { active: true, status: None });
        let commit = host.commit(&mut first, &[]);
        let sync = host.sync();
        (host, vec![identity, account, commit, sync])
    }

    fn event(&mut self, body: Body) -> Event {
        self.seq += 10;
        Event { seq: self.seq, did: did(), time: Datetime::from_micros(NOW.cast_signed()), body }
    }

    fn sync(&mut self) -> Event {
        let blocks = [(self.head.commit, self.blocks[&self.head.commit].clone())];
        self.event(Body::Sync { rev: self.head.rev, blocks: car(self.head.commit, blocks) })
    }

    /// All nodes of its tree.
    fn nodes(&self) -> BlockMap {
        walk(&self.blocks, self.head.root, |_| true)
            .filter_map(|step| match step.unwrap() {
                Step::Node { link, block } => Some((link.cid, block)),
                Step::Leaf { .. } => None,
            })
            .collect()
    }

    /// Writes, and tells it.
    fn write(&mut self, writes: &[(String, Option<(Cid, Bytes)>)]) -> Event {
        let records: Vec<_> = writes.iter().filter_map(|(_, record)| record.clone()).collect();
        let writes: Vec<_> = writes
            .iter()
            .map(|(path, record)| Write {
                path: path.clone(),
                action: record.as_ref().map_or(Action::Delete, |(cid, _)| Action::Put(*cid)),
                swap: None,
            })
            .collect();
        let rev = Tid::new(self.head.rev.micros() + 1, 1);
        let before = self.blocks.clone();
        let applied = apply(&before, &self.head, &writes, &did(), rev, &key());
        self.commit(&mut applied.unwrap().unwrap(), &records)
    }

    fn commit<S: NodeSource>(&mut self, applied: &mut Applied<S>, records: &[(Cid, Bytes)]) -> Event {
        let blocks = applied.diff(records.iter().map(|(cid, block)| (*cid, &block[..]))).unwrap();
        self.head = applied.head;
        self.blocks.insert(applied.head.commit, applied.commit_block.clone());
        self.blocks.extend(applied.change.written.iter().map(|node| (node.link.cid, node.block.clone())));
        self.blocks.extend(records.iter().cloned());
        self.event(Body::Commit(Told {
            commit: applied.head.commit,
            rev: applied.head.rev,
            since: applied.since,
            prev_data: applied.prev_data,
            ops: applied.ops.iter().map(told).collect(),
            blocks: blocks.into(),
        }))
    }
}

fn told(op: &RepoOp) -> Op {
    let action = match (op.cid, op.prev) {
        (Some(_), None) => "create",
        (Some(_), Some(_)) => "update",
        (None, _) => "delete",
    };
    Op { action: action.to_owned(), path: op.path.clone(), cid: op.cid, prev: op.prev }
}

fn car(root: Cid, blocks: impl IntoIterator<Item = (Cid, Bytes)>) -> Bytes {
    let mut out = car::header(&[root]);
    for (cid, block) in blocks {
        car::section(&cid, &block, &mut out);
    }
    out.into()
}

fn checker(begin: Begin) -> Checker {
    let mut checker = Checker::new(begin);
    checker.introduce(did(), key().public());
    checker
}

fn take_all(checker: &mut Checker, events: &[Event]) {
    for event in events {
        checker.take(event, NOW).unwrap_or_else(|fault| panic!("{}: {fault}", event.seq));
    }
}

/// A checker and a host with 60 records, and a commit that creates, updates and deletes, not yet checked.
fn sample() -> (Checker, Host, Event) {
    let (mut host, events) = Host::signup();
    let mut checker = checker(Begin::Genesis);
    take_all(&mut checker, &events);
    let filled: Vec<_> = (0..60).map(|n| put(n * 2, n)).collect();
    take_all(&mut checker, &[host.write(&filled)]);
    let event = host.write(&[put(31, 80), put(40, 81), delete(60), delete(62)]);
    (checker, host, event)
}

macro_rules! assert_fault {
    ($fault:expr, $pattern:pat $(if $guard:expr)?) => {
        match $fault {
            $pattern $(if $guard)? => {}
            other => panic!("expected {}, found {other:?}", stringify!($pattern)),
        }
    };
}

mod commits;

#[test]
fn what_is_right_passes_and_is_rebuilt() {
    let (mut checker, mut host, event) = sample();
    take_all(&mut checker, &[event]);
    // Everything goes, and something comes back.
    let all: Vec<_> = (0..60).map(|n| delete(n * 2)).chain([delete(31)]).collect();
    take_all(&mut checker, &[host.write(&all), host.write(&[put(2, 1)]), host.sync()]);
    let mirror = checker.repo(&did()).unwrap();
    assert_eq!((mirror.commit, mirror.rev), (host.head.commit, host.head.rev));
    let mut expected =
        BlockMap::from([(host.head.commit, host.blocks[&host.head.commit].clone()), record(1)]);
    expected.extend(host.nodes());
    assert_eq!(mirror.export().unwrap().unwrap(), expected);
    assert!(checker.accounts()[&did()].is_settled());
}

#[test]
fn numbers_that_do_not_go_up_are_refused() {
    for back in [0, 1, 15] {
        let (mut checker, _, mut event) = sample();
        event.seq = checker.last() - back;
        assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Seq { .. });
    }
}

#[test]
fn accounts_without_a_known_key_are_refused() {
    let (_, events) = Host::signup();
    let fault = Checker::new(Begin::Genesis).take(&events[0], NOW).unwrap_err();
    assert_fault!(fault, Fault::Stranger(_));
}

#[test]
fn a_signup_in_any_other_order_is_refused() {
    for (left_out, at) in [(0, 1), (1, 2), (2, 3)] {
        let (_, mut events) = Host::signup();
        events.remove(left_out);
        let mut checker = checker(Begin::Genesis);
        take_all(&mut checker, &events[..at - 1]);
        assert_fault!(checker.take(&events[at - 1], NOW).unwrap_err(), Fault::Order { .. });
    }
    // Without the #sync, the next commit comes too early.
    let (mut host, mut events) = Host::signup();
    events.pop();
    let mut early = checker(Begin::Genesis);
    take_all(&mut early, &events);
    assert!(!early.accounts()[&did()].is_settled());
    assert_fault!(early.take(&host.write(&[put(1, 1)]), NOW).unwrap_err(), Fault::Order { .. });
    // An account that begins inactive.
    let (mut host, events) = Host::signup();
    let mut inactive = checker(Begin::Genesis);
    take_all(&mut inactive, &events[..1]);
    let event = host.event(Body::Account { active: false, status: Some("deactivated".into()) });
    assert_fault!(inactive.take(&event, NOW).unwrap_err(), Fault::Order { .. });
}

#[test]
fn a_first_commit_that_is_not_empty_is_refused() {
    let (mut host, mut events) = Host::signup();
    let mut tree = Mst::empty(BlockMap::new());
    let ((cid, block), name) = (record(1), path(1));
    tree.insert(&name, cid).unwrap();
    let change = tree.finish(Place(1)).unwrap();
    let commit = Commit::sign(did(), Tid::new(NOW, 1), change.root.cid, &key()).encode();
    let root = Cid::dag_cbor(&commit);
    let nodes = change.written.iter().map(|node| (node.link.cid, node.block.clone()));
    let told = Told {
        commit: root,
        rev: Tid::new(NOW, 1),
        since: None,
        prev_data: None,
        ops: vec![Op { action: "create".into(), path: name, cid: Some(cid), prev: None }],
        blocks: car(root, nodes.chain([(root, commit), (cid, block)])),
    };
    events[2] = Event { seq: events[2].seq, ..host.event(Body::Commit(told)) };
    let mut checker = checker(Begin::Genesis);
    take_all(&mut checker, &events[..2]);
    assert_fault!(checker.take(&events[2], NOW).unwrap_err(), Fault::NotEmpty(1));
}

#[test]
fn a_status_that_contradicts_itself_is_refused() {
    for (active, status) in
        [(true, Some("deactivated")), (false, None), (false, Some("active")), (false, Some(""))]
    {
        let (mut checker, mut host, _) = sample();
        let event = host.event(Body::Account { active, status: status.map(str::to_owned) });
        assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Status { .. });
    }
}

#[test]
fn nothing_is_told_of_the_repo_of_an_inactive_account() {
    for status in STATUSES {
        let (mut checker, mut host, event) = sample();
        let event = Event { seq: event.seq + 10, ..event };
        let off = host.event(Body::Account { active: false, status: Some(status.into()) });
        take_all(&mut checker, &[Event { seq: event.seq - 1, ..off }]);
        assert_fault!(checker.clone().take(&event, NOW).unwrap_err(), Fault::Inactive);
        host.seq = event.seq;
        assert_fault!(checker.clone().take(&host.sync(), NOW).unwrap_err(), Fault::Inactive);
        // Who it is may be told, and that it is back.
        let back = [
            host.event(Body::Identity { handle: None }),
            host.event(Body::Account { active: true, status: None }),
        ];
        take_all(&mut checker, &back);
        assert!(checker.accounts()[&did()].active);
        checker.take(&Event { seq: host.seq + 10, ..event }, NOW).unwrap();
    }
}

#[test]
fn events_of_the_future_are_refused() {
    let (mut checker, _, mut event) = sample();
    event.time = Datetime::from_micros((NOW + DRIFT + 1000).cast_signed());
    assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Time(_));
}

#[test]
fn a_sync_is_of_the_last_commit_and_nothing_else() {
    let (mut checker, mut host, event) = sample();
    take_all(&mut checker, &[event]);
    let (commit, rev) = (host.head.commit, host.head.rev);
    let block = host.blocks[&commit].clone();
    let mut check = |rev: Tid, blocks: Bytes| {
        let event = host.event(Body::Sync { rev, blocks });
        checker.clone().take(&event, NOW)
    };
    check(rev, car(commit, [(commit, block.clone())])).unwrap();
    let fault = check(rev, car(commit, [(commit, block.clone()), record(1)])).unwrap_err();
    assert_fault!(fault, Fault::NotAlone(2));
    assert_fault!(check(rev, car(commit, [])).unwrap_err(), Fault::Verify(VerifyError::Missing(_)));
    let fault = check(Tid::new(NOW, 9), car(commit, [(commit, block.clone())])).unwrap_err();
    assert_fault!(fault, Fault::Rev { .. });
    let whole = Commit::decode(&block).unwrap();
    let mut forged = |did: Did, rev: Tid, by: &SecretKey| {
        let block = Commit::sign(did, rev, whole.data, by).encode();
        let cid = Cid::dag_cbor(&block);
        check(rev, car(cid, [(cid, block)])).unwrap_err()
    };
    assert_fault!(forged(did(), Tid::new(NOW, 9), &key()), Fault::Elsewhere { .. });
    assert_fault!(forged(did(), Tid::new(NOW + DRIFT + 1, 9), &key()), Fault::Future(_));
    let other = SecretKey::from_bytes(Curve::K256, &[6; 32]).unwrap();
    assert_fault!(forged(did(), rev, &other), Fault::Commit(_));
    let stranger = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    assert_fault!(forged(stranger, rev, &key()), Fault::Verify(VerifyError::Did { .. }));
}

#[test]
fn who_comes_midway_takes_the_first_commit_on_trust_and_checks_from_there() {
    let (_, mut host, event) = sample();
    let mut checker = checker(Begin::Midway);
    take_all(&mut checker, &[event, host.write(&[put(33, 1)]), host.sync()]);
    let mirror = checker.repo(&did()).unwrap();
    assert_eq!(mirror.commit, host.head.commit);
    assert!(mirror.export().is_none());
    host.write(&[put(35, 1)]);
    let event = host.write(&[put(37, 1)]);
    assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Since { .. });
    // Whole signups are checked as ever.
    let (_, events) = Host::signup();
    let mut checker = self::checker(Begin::Midway);
    take_all(&mut checker, &events[..3]);
    assert!(!checker.accounts()[&did()].is_settled());
    take_all(&mut checker, &events[3..]);
    assert!(checker.repo(&did()).unwrap().export().is_some());
}
