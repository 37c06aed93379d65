//! Batches of writes to a repo against a sorted map: the records are those of the map, the tree is the one tree of them, and
//! the operations undone over nothing but the commit's own blocks give the tree before.
//!
//! Three bytes are a write: what, where, which value. Every batch is a commit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_atproto::car;
use rookery_atproto::crypto::{Curve, SecretKey};
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link, Mst, Step, walk};
use rookery_atproto::repo::{Action, ApplyError, Head, RepoOp, Write, apply, create, verify_commit_diff};
use rookery_atproto::syntax::{Did, Tid};
use rookery_fuzz::Choices;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

type Model = BTreeMap<String, Cid>;

/// Writes in one commit, and commits.
const WRITES: usize = 12;
const COMMITS: u64 = 12;

static KEY: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::from_bytes(Curve::K256, &[7; 32]).expect("a key"));
static DID: LazyLock<Did> = LazyLock::new(|| Did::parse("did:web:example.com").expect("a DID"));
/// The bodies of records.
static BODIES: LazyLock<BTreeMap<Cid, Vec<u8>>> =
    LazyLock::new(|| (0u8..8).map(|n| (Cid::dag_cbor(&[n]), vec![n])).collect());

/// A repo as a store has it.
struct Repo {
    head: Head,
    blocks: BlockMap,
    model: Model,
}

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let genesis = create(&DID, Tid::new(1, 0), &KEY).expect("an empty repo");
    let blocks = genesis.change.written.into_iter().map(|node| (node.link.cid, node.block)).collect();
    let mut repo = Repo { head: genesis.head, blocks, model: Model::new() };
    for commit in 0..COMMITS {
        let Some(count) = choices.below(WRITES) else { break };
        let writes: Vec<Write> = (0..=count).map_while(|_| write(&mut choices, &repo.model)).collect();
        repo = commit_one(repo, &writes, Tid::new(2 + commit, 0));
    }
});

fn write(choices: &mut Choices<'_>, model: &Model) -> Option<Write> {
    let (what, at, which) = (choices.byte()?, choices.byte()?, choices.byte()?);
    let path = format!("com.example.{}/{at}", ["a", "b", "cc"][usize::from(at) % 3]);
    let value = Cid::dag_cbor(&[which % 8]);
    let action = [Action::Put(value), Action::Delete, Action::Create(value), Action::Update(value)]
        [usize::from(what % 4)];
    let swap = match what >> 4 {
        1 => Some(model.get(&path).copied()),
        2 => Some(Some(value)),
        3 => Some(None),
        _ => None,
    };
    Some(Write { path, action, swap })
}

/// What the writes come to, one after the other; none where one of them is refused.
fn expected(model: &Model, writes: &[Write]) -> Option<Model> {
    let mut after = model.clone();
    for write in writes {
        let found = after.get(&write.path).copied();
        if write.swap.is_some_and(|swap| swap != found) {
            return None;
        }
        match write.action {
            Action::Create(cid) if found.is_none() => after.insert(write.path.clone(), cid),
            Action::Update(cid) if found.is_some() => after.insert(write.path.clone(), cid),
            Action::Put(cid) => after.insert(write.path.clone(), cid),
            Action::Delete => after.remove(&write.path),
            Action::Create(_) | Action::Update(_) => return None,
        };
    }
    Some(after)
}

fn commit_one(repo: Repo, writes: &[Write], rev: Tid) -> Repo {
    let Repo { head, mut blocks, model } = repo;
    let wanted = expected(&model, writes);
    let applied = apply(&blocks, &head, writes, &DID, rev, &KEY);
    let Some(wanted) = wanted else {
        let refused =
            matches!(applied, Err(ApplyError::Exists(_) | ApplyError::Missing(_) | ApplyError::Swap { .. }));
        assert!(refused, "the map refuses {writes:?}");
        return Repo { head, blocks, model };
    };
    let Some(mut applied) = applied.expect("the map takes it") else {
        assert_eq!(wanted, model, "no commit, so no change");
        return Repo { head, blocks, model };
    };
    assert_ne!(wanted, model, "a commit of nothing");
    assert_eq!(applied.ops, operations(&model, &wanted));

    let bodies = applied
        .ops
        .iter()
        .filter_map(|op| op.cid)
        .map(|cid| (cid, BODIES[&cid].as_slice()))
        .collect::<Vec<_>>();
    let diff = applied.diff(bodies.into_iter()).expect("in memory");
    let diff = car::read_all(&diff).expect("our own CAR");
    verify_commit_diff(&diff, &applied.ops, applied.prev_data, &DID, &KEY.public())
        .expect("it can be undone");
    assert_eq!(applied.prev_data, Some(head.root.cid));

    let (next, change) = (applied.head, applied.change.clone());
    drop(applied);
    blocks.extend(change.written.into_iter().map(|node| (node.link.cid, node.block)));
    blocks.retain(|cid, _| !change.replaced.contains(cid));
    assert_eq!(contents(&blocks, next.root.cid), (wanted.clone(), blocks.keys().copied().collect()));
    let mut tree = Mst::empty(BlockMap::default());
    wanted.iter().for_each(|(path, cid)| tree.insert(path, *cid).expect("a new path"));
    assert_eq!(tree.root_cid().expect("in memory"), next.root.cid, "there is one tree of these records");
    Repo { head: Head { root: Link::to_cid(next.root.cid), ..next }, blocks, model: wanted }
}

fn operations(before: &Model, after: &Model) -> Vec<RepoOp> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let ops = paths.into_iter().map(|path| RepoOp {
        path: path.clone(),
        cid: after.get(path).copied(),
        prev: before.get(path).copied(),
    });
    ops.filter(|op| op.cid != op.prev).collect()
}

/// Records and nodes of a tree.
fn contents(blocks: &BlockMap, root: Cid) -> (Model, BTreeSet<Cid>) {
    let (mut model, mut nodes) = (Model::new(), BTreeSet::new());
    for step in walk(blocks, Link::to_cid(root), |_| true) {
        match step.expect("a canonical tree") {
            Step::Node { link, .. } => drop(nodes.insert(link.cid)),
            Step::Leaf { key, value } => drop(model.insert(key, value)),
        }
    }
    (model, nodes)
}
