use super::*;
use crate::car::{self, CarError};
use crate::crypto::{Curve, SecretKey};
use crate::data::{Value, cbor};
use crate::repo::{Action, Applied, Head, Write, apply, create};
use crate::syntax::Tid;
use bytes::Bytes;

fn key() -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[7; 32]).unwrap()
}

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn record(n: i64) -> (Cid, Bytes) {
    let block = cbor::encode(&Value::Int(n));
    (Cid::dag_cbor(&block), block.into())
}

fn path(n: i64) -> String {
    format!("com.example.note/{n:04}")
}

/// Blocks of a whole repo, its head, and the CAR and claims of its last commit.
struct Sample {
    blocks: BlockMap,
    head: Head,
    diff: Car,
    ops: Vec<RepoOp>,
    prev_data: Option<Cid>,
}

impl Sample {
    /// A repo of 60 records, and then a commit that creates, updates and deletes.
    fn new() -> Self {
        let first = create(&did(), Tid::new(1, 1), &key()).unwrap();
        let mut blocks = BlockMap::default();
        keep(&mut blocks, &first);
        blocks.extend((0..100).map(record));
        let write = |n, action| Write { path: path(n), action, swap: None };
        let filled: Vec<Write> = (0..60).map(|n| write(n * 2, Action::Create(record(n).0))).collect();
        let second = apply(blocks.clone(), &first.head, &filled, &did(), Tid::new(2, 1), &key());
        let second = second.unwrap().unwrap();
        keep(&mut blocks, &second);
        let writes = [
            write(31, Action::Create(record(80).0)),
            write(40, Action::Update(record(81).0)),
            write(60, Action::Delete),
            write(62, Action::Delete),
        ];
        let third = apply(blocks.clone(), &second.head, &writes, &did(), Tid::new(3, 1), &key());
        let mut third = third.unwrap().unwrap();
        keep(&mut blocks, &third);
        let mut diff = Car { roots: vec![third.head.commit], ..Car::default() };
        diff.blocks.extend(third.proof().unwrap());
        diff.blocks.extend([(third.head.commit, third.commit_block.clone()), record(80), record(81)]);
        Self { blocks, head: third.head, diff, ops: third.ops, prev_data: third.prev_data }
    }

    fn check_diff(&self) -> Result<Commit, VerifyError> {
        verify_commit_diff(&self.diff, &self.ops, self.prev_data, &did(), &key().public())
    }

    /// The whole repo; what is not part of it any more is left out.
    fn export(&self) -> Car {
        let mut out = car::header(&[self.head.commit]);
        car::section(&self.head.commit, &self.blocks[&self.head.commit], &mut out);
        for step in walk(&self.blocks, self.head.root, |_| true) {
            match step.unwrap() {
                Step::Node { link, block } => car::section(&link.cid, &block, &mut out),
                Step::Leaf { value, .. } => car::section(&value, &self.blocks[&value], &mut out),
            }
        }
        car::read_all(&out).unwrap()
    }
}

fn keep<S>(blocks: &mut BlockMap, applied: &Applied<S>) {
    blocks.insert(applied.head.commit, applied.commit_block.clone());
    blocks.extend(applied.change.written.iter().map(|node| (node.link.cid, node.block.clone())));
}

#[test]
fn a_commit_holds_with_nothing_but_what_the_firehose_brings() {
    let sample = Sample::new();
    assert_eq!(sample.ops.len(), 4);
    assert_eq!(sample.check_diff().unwrap().data, sample.head.root.cid);
}

#[test]
fn the_first_commit_starts_from_the_empty_tree() {
    let first = create(&did(), Tid::new(1, 1), &key()).unwrap();
    let mut car = Car { roots: vec![first.head.commit], ..Car::default() };
    keep(&mut car.blocks, &first);
    verify_commit_diff(&car, &[], None, &did(), &key().public()).unwrap();
    let sample = Sample::new();
    let Err(VerifyError::PrevData { .. }) = (Sample { prev_data: None, ..sample }).check_diff() else {
        panic!("a later commit does not");
    };
}

#[test]
fn operations_that_lie_are_found_out() {
    let sample = Sample::new();
    let with = |change: fn(&mut Vec<RepoOp>)| {
        let mut sample = Sample::new();
        change(&mut sample.ops);
        sample.check_diff().unwrap_err()
    };
    assert_eq!(sample.ops[1].path, path(40));
    assert!(matches!(with(|ops| drop(ops.remove(0))), VerifyError::PrevData { .. }), "one left out");
    assert!(matches!(with(|ops| ops[1].prev = Some(record(5).0)), VerifyError::PrevData { .. }));
    assert!(matches!(with(|ops| ops[2].prev = Some(record(5).0)), VerifyError::PrevData { .. }));
    assert!(matches!(with(|ops| ops[0].cid = Some(record(81).0)), VerifyError::Op(_)), "another record");
    assert!(matches!(with(|ops| ops[0].cid = None), VerifyError::Op(_)), "neither before nor after");
    assert!(matches!(with(|ops| ops[2].prev = None), VerifyError::Op(_)));
    assert!(matches!(with(|ops| ops.push(ops[0].clone())), VerifyError::Repeated(_)));
    assert!(matches!(with(|ops| ops[0].path = "com.example.note/..".into()), VerifyError::Path(_)));
    assert!(matches!(with(|ops| ops[0].path = "notes/1".into()), VerifyError::Path(_)));
    assert!(matches!(with(|ops| ops[0].path = path(33)), VerifyError::Mst(_)), "another path");
}

#[test]
fn a_commit_lacks_none_of_the_blocks_that_it_brings() {
    let sample = Sample::new();
    for cid in sample.diff.blocks.keys() {
        let mut lacking = Sample::new();
        lacking.diff.blocks.remove(cid);
        // Nodes that only some order of undoing needs may be missing here; the rest must not be.
        if let Ok(commit) = lacking.check_diff() {
            assert_eq!(commit.data, sample.head.root.cid);
            assert!(![record(80).0, record(81).0, sample.head.commit, commit.data].contains(cid));
        }
    }
}

#[test]
fn commits_of_other_accounts_and_keys_are_refused() {
    let sample = Sample::new();
    let export = sample.export();
    let other = SecretKey::from_bytes(Curve::P256, &[8; 32]).unwrap().public();
    let stranger = Did::parse("did:web:example.com").unwrap();
    assert!(verify_repo(&export, &did(), &key().public()).is_ok());
    assert!(matches!(verify_repo(&export, &did(), &other), Err(VerifyError::Commit(_))));
    assert!(matches!(verify_repo(&export, &stranger, &key().public()), Err(VerifyError::Did { .. })));
    for roots in [Vec::new(), vec![sample.head.commit; 2]] {
        let car = Car { roots, ..export.clone() };
        assert!(matches!(verify_repo(&car, &did(), &key().public()), Err(VerifyError::Roots(_))));
    }
    let car = Car { roots: vec![sample.head.root.cid], ..export };
    assert!(matches!(verify_repo(&car, &did(), &key().public()), Err(VerifyError::Commit(_))));
}

#[test]
fn an_export_that_lacks_any_block_is_refused() {
    let sample = Sample::new();
    let export = sample.export();
    let verified = verify_repo(&export, &did(), &key().public()).unwrap();
    assert_eq!(verified.records.len(), 59);
    for cid in export.blocks.keys() {
        let mut car = export.clone();
        car.blocks.remove(cid);
        let refused = verify_repo(&car, &did(), &key().public()).unwrap_err();
        assert!(
            matches!(refused, VerifyError::Missing(gone) | VerifyError::Mst(MstError::Missing(gone)) if gone == *cid)
        );
    }
}

#[test]
fn a_signed_tree_with_keys_that_are_no_record_paths_is_refused() {
    let mut tree = Mst::empty(BlockMap::default());
    tree.insert("notes/1", record(1).0).unwrap();
    let change = tree.finish(crate::mst::Place(1)).unwrap();
    let commit = Commit::sign(did(), Tid::new(1, 1), change.root.cid, &key()).encode();
    let mut car = Car { roots: vec![Cid::dag_cbor(&commit)], ..Car::default() };
    car.blocks.extend([
        record(1),
        (change.root.cid, change.written[0].block.clone()),
        (car.roots[0], commit),
    ]);
    assert!(matches!(verify_repo(&car, &did(), &key().public()), Err(VerifyError::Path(_))));
}

#[test]
fn a_block_that_is_not_what_its_cid_says_does_not_get_as_far() {
    let mut out = car::header(&[record(1).0]);
    car::section(&record(1).0, &record(2).1, &mut out);
    assert!(matches!(car::read_all(&out), Err(CarError::Hash { section: 0, .. })));
}
