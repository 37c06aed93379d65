//! Repositories and commits of others that do not hold are refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may end the process")]

use bytes::Bytes;
use rookery_atproto::car::{self, Car};
use rookery_atproto::crypto::{Curve, SecretKey};
use rookery_atproto::data::cbor::Writer;
use rookery_atproto::data::{Cid, Value, cbor};
use rookery_atproto::mst::{BlockMap, Link, Mst, MstError, Step, walk};
use rookery_atproto::repo::{Action, Commit, RepoOp, VerifyError, Write, apply, create, invert, verify_repo};
use rookery_atproto::syntax::{Did, Tid};

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[n; 32]).unwrap()
}

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn rev(n: u64) -> Tid {
    Tid::new(1_700_000_000_000_000 + n, 1)
}

fn record(n: i64) -> (Cid, Bytes) {
    let block = cbor::encode(&Value::Int(n));
    (Cid::dag_cbor(&block), block.into())
}

fn path(n: i64) -> String {
    format!("com.example.note/{n:04}")
}

/// A repo of 60 records as a CAR would bring it.
fn sample() -> Car {
    let first = create(&did(), rev(0), &key(1)).unwrap();
    let mut blocks: BlockMap = (0..60).map(record).collect();
    blocks.extend(first.change.written.iter().map(|node| (node.link.cid, node.block.clone())));
    let writes: Vec<Write> =
        (0..60).map(|n| Write { path: path(n), action: Action::Create(record(n).0), swap: None }).collect();
    let second = apply(blocks.clone(), &first.head, &writes, &did(), rev(1), &key(1)).unwrap().unwrap();
    for cid in &second.change.replaced {
        blocks.remove(cid);
    }
    blocks.extend(second.change.written.iter().map(|node| (node.link.cid, node.block.clone())));
    blocks.insert(second.head.commit, second.commit_block.clone());
    Car { roots: vec![second.head.commit], blocks }
}

fn commit_of(car: &Car) -> Commit {
    Commit::decode(&car.blocks[&car.roots[0]]).unwrap()
}

/// The same repo with another tree under a commit that its owner signed.
fn with_tree(mut car: Car, root: Cid) -> Car {
    let block = Commit::sign(did(), rev(2), root, &key(1)).encode();
    let cid = Cid::dag_cbor(&block);
    car.blocks.insert(cid, block);
    car.roots = vec![cid];
    car
}

fn refused(car: &Car) -> VerifyError {
    verify_repo(car, &did(), &key(1).public()).unwrap_err()
}

#[test]
fn a_whole_repo_verifies_also_after_a_journey_as_a_car() {
    let car = sample();
    let mut bytes = car::header(&car.roots);
    for (cid, block) in &car.blocks {
        car::section(cid, block, &mut bytes);
    }
    let verified = verify_repo(&car::read_all(&bytes).unwrap(), &did(), &key(1).public()).unwrap();
    assert_eq!(verified.commit.rev, rev(1));
    let wanted: Vec<(String, Cid)> = (0..60).map(|n| (path(n), record(n).0)).collect();
    assert_eq!(verified.records, wanted);
}

#[test]
fn a_repo_that_lacks_any_block_is_refused() {
    let car = sample();
    for gap in car.blocks.keys() {
        let mut rest = car.clone();
        rest.blocks.remove(gap);
        let missing = match refused(&rest) {
            VerifyError::Missing(cid) | VerifyError::Mst(MstError::Missing(cid)) => cid,
            other => panic!("{other}"),
        };
        assert_eq!(missing, *gap);
    }
}

#[test]
fn a_repo_of_someone_else_or_signed_by_another_key_is_refused() {
    let car = sample();
    let other = Did::parse("did:plc:z72i7hdynmk6r22z27h6tvur").unwrap();
    let found = verify_repo(&car, &other, &key(1).public()).unwrap_err();
    assert!(matches!(found, VerifyError::Did { expected, found } if expected == other && found == did()));
    let found = verify_repo(&car, &did(), &key(2).public()).unwrap_err();
    assert!(matches!(found, VerifyError::Commit(_)), "{found}");
    let k256 = SecretKey::from_bytes(Curve::K256, &[1; 32]).unwrap();
    assert!(verify_repo(&car, &did(), &k256.public()).is_err());
}

#[test]
fn a_repo_without_exactly_one_root_that_is_a_commit_is_refused() {
    let car = sample();
    let root = car.roots[0];
    for roots in [vec![], vec![root, root]] {
        let count = roots.len();
        let found = refused(&Car { roots, ..car.clone() });
        assert!(matches!(found, VerifyError::Roots(n) if n == count), "{found}");
    }
    for other in [commit_of(&car).data, record(1).0] {
        assert!(matches!(refused(&Car { roots: vec![other], ..car.clone() }), VerifyError::Commit(_)));
    }
}

#[test]
fn a_signed_tree_that_is_not_canonical_is_refused() {
    let car = sample();
    let root = commit_of(&car).data;
    verify_repo(&with_tree(car.clone(), root), &did(), &key(1).public()).unwrap();

    // One more layer without entries on top.
    let mut top = Writer::new();
    top.map(2);
    top.text("e");
    top.array(0);
    top.text("l");
    top.link(&root);
    let block = top.into_bytes();
    let cid = Cid::dag_cbor(&block);
    let mut taller = with_tree(car.clone(), cid);
    taller.blocks.insert(cid, block.into());
    assert!(matches!(refused(&taller), VerifyError::Mst(MstError::Node { cid: at, .. }) if at == cid));

    // A part of the tree, as if it were all: it is canonical itself, so that only the signature says which it is.
    let subtree = walk(&car.blocks, Link::to_cid(root), |_| true)
        .filter_map(|step| match step.unwrap() {
            Step::Node { link, .. } => Some(link.cid),
            Step::Leaf { .. } => None,
        })
        .last()
        .unwrap();
    assert!(subtree != root);
    assert!(
        verify_repo(&with_tree(car.clone(), subtree), &did(), &key(1).public()).unwrap().records.len() < 60
    );

    // The commit or a record where a node should be.
    for other in [car.roots[0], record(1).0] {
        assert!(matches!(refused(&with_tree(car.clone(), other)), VerifyError::Mst(MstError::Node { .. })));
    }
}

#[test]
fn operations_are_only_undone_when_they_are_what_the_tree_shows() {
    let car = sample();
    let root = commit_of(&car).data;
    let (present, absent) = ((path(7), record(7).0), path(99));
    let op = |path: &str, cid: Option<Cid>, prev: Option<Cid>| RepoOp { path: path.to_owned(), cid, prev };
    let other = Some(record(8).0);
    let undo = |op: RepoOp| invert(&[op], root, &car.blocks);
    for (what, op) in [
        ("a create of another value", op(&present.0, other, None)),
        ("an update to another value", op(&present.0, other, Some(present.1))),
        ("a create of what is not there", op(&absent, other, None)),
        ("an update of what is not there", op(&absent, other, Some(present.1))),
        ("a delete of what is there", op(&present.0, None, other)),
        ("nothing", op(&absent, None, None)),
        ("nothing at a record", op(&present.0, None, None)),
        ("a delete of what can not have been there", op("no path", None, other)),
    ] {
        assert!(undo(op.clone()).is_err(), "{what}");
    }
    let mut tree = Mst::open(&car.blocks, Link::to_cid(root));
    tree.delete(&present.0).unwrap();
    assert_eq!(undo(op(&present.0, Some(present.1), None)).unwrap(), tree.root_cid().unwrap());
    assert_eq!(invert(&[], root, &BlockMap::default()).unwrap(), root);
}

#[test]
fn operations_on_one_path_are_undone_from_the_last_to_the_first() {
    let car = sample();
    let root = commit_of(&car).data;
    let (a, b, c) = (record(7).0, record(70).0, record(71).0);
    let update = |cid, prev| RepoOp { path: path(7), cid: Some(cid), prev: Some(prev) };
    assert!(invert(&[update(a, b), update(b, c)], root, &car.blocks).is_err());
    let mut tree = Mst::open(&car.blocks, Link::to_cid(root));
    tree.update(&path(7), c).unwrap();
    let before = tree.root_cid().unwrap();
    assert_eq!(invert(&[update(b, c), update(a, b)], root, &car.blocks).unwrap(), before);
}
