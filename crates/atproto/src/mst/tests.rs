//! The tree against a slow builder of the same tree, and against an in-memory store of places: what only shows from inside.
//! What shows from outside (vectors, reads, proofs, refusals) is in the crate's `tests/mst`.

mod edits;

use super::*;
use crate::data::{Cid, Map, Value, cbor};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// The content of a tree.
type Model = BTreeMap<String, Cid>;

fn cid(n: u64) -> Cid {
    Cid::dag_cbor(&n.to_be_bytes())
}

/// The layer of a key, bit by bit.
fn slow_layer(key: &str) -> u8 {
    let mut zeros = 0;
    'count: for byte in Sha256::digest(key.as_bytes()) {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                break 'count;
            }
            zeros += 1;
        }
    }
    zeros / 2
}

/// Builds the tree of a content from the top down with the general encoder: its root and every node.
fn slow_build(model: &Model) -> (Cid, BlockMap) {
    let leaves: Vec<(&str, Cid, u8)> =
        model.iter().map(|(key, value)| (key.as_str(), *value, slow_layer(key))).collect();
    let top = leaves.iter().map(|leaf| leaf.2).max().unwrap_or(0);
    let mut blocks = BlockMap::default();
    let root = slow_node(&leaves, top, &mut blocks);
    (root, blocks)
}

fn slow_node(leaves: &[(&str, Cid, u8)], layer: u8, blocks: &mut BlockMap) -> Cid {
    let link = |part: &[(&str, Cid, u8)], blocks: &mut BlockMap| match part {
        [] => Value::Null,
        _ => Value::Link(slow_node(part, layer - 1, blocks)),
    };
    let parts: Vec<_> = leaves.split(|leaf| leaf.2 == layer).collect();
    let keys: Vec<_> = leaves.iter().filter(|leaf| leaf.2 == layer).collect();
    let left = link(parts[0], blocks);
    let mut entries = Vec::new();
    for (at, (key, value, _)) in keys.iter().enumerate() {
        let before = if at == 0 { "" } else { keys[at - 1].0 };
        let shared =
            (0..=before.len().min(key.len())).rev().find(|n| before.get(..*n) == key.get(..*n)).unwrap();
        entries.push(map([
            ("p", Value::Int(shared.try_into().unwrap())),
            ("k", Value::Bytes(key.as_bytes()[shared..].to_vec())),
            ("v", Value::Link(*value)),
            ("t", link(parts[at + 1], blocks)),
        ]));
    }
    let block = cbor::encode(&map([("e", Value::List(entries)), ("l", left)]));
    let cid = Cid::dag_cbor(&block);
    blocks.insert(cid, block.into());
    cid
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Map::from_entries(entries.map(|(key, value)| (key.to_owned(), value)).to_vec()).unwrap())
}

/// A store that knows places, as the database does, and counts what is loaded.
#[derive(Debug, Default)]
struct Store {
    nodes: RefCell<BTreeMap<Place, (Cid, StoredNode)>>,
    loads: Cell<usize>,
    /// Loads that succeed before one fails.
    fail_after: Cell<Option<usize>>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store fails now")]
struct Failure;

impl NodeSource for Store {
    type Error = Failure;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Failure> {
        if let Some(left) = self.fail_after.get() {
            self.fail_after.set(Some(left.checked_sub(1).ok_or(Failure)?));
        }
        self.loads.set(self.loads.get() + 1);
        let nodes = self.nodes.borrow();
        let found = nodes.get(&at.place);
        assert!(found.is_none_or(|(cid, _)| *cid == at.cid), "{at:?} holds another node");
        Ok(found.map(|(_, node)| node.clone()))
    }
}

/// A tree in a store, with what it must hold.
struct Kept {
    store: Store,
    model: Model,
    root: Link,
    next_place: Place,
}

/// One edit; whether it inserts or updates depends on what is there.
#[derive(Clone, Debug)]
enum Edit {
    Put(String, Cid),
    Delete(String),
}

impl Kept {
    fn new() -> Self {
        let store = Store::default();
        let change = Mst::empty(&store).finish(Place(1)).unwrap();
        let mut kept = Self { model: Model::new(), root: change.root, next_place: Place(1), store };
        kept.keep(&change);
        kept.check();
        kept
    }

    /// A tree with this content.
    fn of(model: Model) -> Self {
        let mut kept = Self::new();
        let change = {
            let mut tree = Mst::open(&kept.store, kept.root);
            for (key, value) in &model {
                tree.insert(key, *value).unwrap();
            }
            tree.finish(kept.next_place).unwrap()
        };
        kept.model = model;
        kept.keep(&change);
        kept
    }

    /// Applies a batch in a tree that is opened for it, stores what it must store, and checks the whole.
    fn write(&mut self, edits: &[Edit]) -> Change {
        let (before, _) = slow_build(&self.model);
        assert_eq!(before, self.root.cid);
        let change = {
            let mut tree = Mst::open(&self.store, self.root);
            for edit in edits {
                apply(&mut tree, &mut self.model, edit);
            }
            tree.finish(self.next_place).unwrap()
        };
        let old = self.nodes();
        self.keep(&change);
        self.check();
        let new = self.nodes();
        assert_eq!(change.new_blocks.iter().copied().collect::<BTreeSet<_>>(), &new - &old);
        assert_eq!(change.replaced.iter().copied().collect::<BTreeSet<_>>(), &old - &new);
        change
    }

    fn nodes(&self) -> BTreeSet<Cid> {
        self.store.nodes.borrow().values().map(|(cid, _)| *cid).collect()
    }

    /// What a database does with a change.
    fn keep(&mut self, change: &Change) {
        let mut nodes = self.store.nodes.borrow_mut();
        for link in &change.removed {
            let (cid, _) = nodes.remove(&link.place).expect("what is removed was there");
            assert_eq!(cid, link.cid);
        }
        for WrittenNode { link, block, children } in &change.written {
            assert!(!change.removed.iter().any(|gone| gone.place == link.place), "removed and written");
            assert!(link.place < change.next_place);
            let node = StoredNode { block: block.clone(), children: children.clone() };
            let before = nodes.insert(link.place, (link.cid, node.clone()));
            assert!(before.is_some() || link.place >= self.next_place, "a place is given once");
            assert!(before.is_none_or(|before| before != (link.cid, node)), "written without need");
        }
        self.root = change.root;
        self.next_place = change.next_place;
    }

    /// The store holds the nodes of the tree that the content gives, each at one place, and nothing else.
    fn check(&self) {
        let (root, blocks) = slow_build(&self.model);
        assert_eq!(self.root.cid, root, "canonical");
        let mut places = BTreeSet::new();
        let mut leaves = Vec::new();
        for step in walk(&self.store, self.root, |_| true) {
            match step.unwrap() {
                Step::Node { link, block } => {
                    assert_eq!(blocks.get(&link.cid), Some(&block));
                    assert!(places.insert(link.place), "two nodes at one place");
                }
                Step::Leaf { key, value } => leaves.push((key, value)),
            }
        }
        assert_eq!(places.len(), blocks.len());
        assert_eq!(places, self.store.nodes.borrow().keys().copied().collect());
        assert_eq!(leaves, self.model.clone().into_iter().collect::<Vec<_>>());
    }
}

/// Does one edit to the tree and to its model, and compares what they say was there.
fn apply<S: NodeSource>(tree: &mut Mst<S>, model: &mut Model, edit: &Edit) {
    match edit {
        Edit::Put(key, value) => match model.insert(key.clone(), *value) {
            None => {
                assert!(matches!(tree.update(key, *value), Err(MstError::Absent(_))));
                tree.insert(key, *value).unwrap();
            }
            Some(before) => {
                assert!(matches!(tree.insert(key, *value), Err(MstError::Exists(_))));
                assert_eq!(tree.update(key, *value).unwrap(), before);
            }
        },
        Edit::Delete(key) => match model.remove(key) {
            None => assert!(matches!(tree.delete(key), Err(MstError::Absent(_)))),
            Some(before) => assert_eq!(tree.delete(key).unwrap(), before),
        },
    }
    let (Edit::Put(key, _) | Edit::Delete(key)) = edit;
    assert_eq!(tree.get(key).unwrap(), model.get(key).copied());
}

/// Keys of layers 0 to 5, as many of each, so that layers come and go.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    const EACH: usize = 9;
    let mut found: [Vec<String>; 6] = Default::default();
    for n in 0u64.. {
        let key = format!("com.example.shape/{:08x}", n.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
        if let Some(keys) = found.get_mut(usize::from(slow_layer(&key)))
            && keys.len() < EACH
        {
            keys.push(key);
            if found.iter().all(|keys| keys.len() == EACH) {
                break;
            }
        }
    }
    found.into_iter().flatten().collect()
});

fn any_key() -> impl Strategy<Value = String> {
    (0..KEYS.len()).prop_map(|at| KEYS[at].clone())
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (any_key(), 0u64..4).prop_map(|(key, n)| Edit::Put(key, cid(n))),
        2 => any_key().prop_map(Edit::Delete),
    ]
}

/// Edits; some batches pass through the empty tree.
fn any_batch() -> impl Strategy<Value = Vec<Edit>> {
    let edits = || prop::collection::vec(any_edit(), 0..14);
    prop_oneof![
        3 => edits(),
        1 => (edits(), edits()).prop_map(|(mut before, after)| {
            before.extend(KEYS.iter().cloned().map(Edit::Delete));
            before.extend(after);
            before
        }),
    ]
}

fn any_batches() -> impl Strategy<Value = Vec<Vec<Edit>>> {
    prop::collection::vec(any_batch(), 1..6)
}

fn any_model() -> impl Strategy<Value = Model> {
    prop::collection::btree_map(any_key(), (0u64..4).prop_map(cid), 0..40)
}

fn by_cid(root: Cid) -> Link {
    Link::to_cid(root)
}

#[test]
fn common_prefixes_are_as_published() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/vectors/atproto-interop/mst/common_prefix.json"
    );
    let Ok(text) = std::fs::read_to_string(path) else { return eprintln!("skipped: no {path}") };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let (left, right) = (case["left"].as_str().unwrap(), case["right"].as_str().unwrap());
        assert_eq!(encoding::common_prefix(left, right) as u64, case["len"].as_u64().unwrap(), "{case}");
    }
}
