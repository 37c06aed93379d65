//! Any sequence of edits gives the tree built from scratch, in the store as in memory; any change can be undone from its proof.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is test code")]

use proptest::prelude::*;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{
    BlockMap, Change, Link, Mst, NodeSource, Place, Step, StoredNode, diff, key_layer, range, walk,
};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::LazyLock;

/// Keys of every layer from 0 to 4, so that small trees have many shapes.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut wanted = [24, 14, 10, 6, 3];
    let mut keys = Vec::new();
    for n in 0.. {
        let key = format!("com.example.n{}/{n}", n % 3);
        if let Some(left) = wanted.get_mut(usize::from(key_layer(&key)))
            && *left > 0
        {
            *left -= 1;
            keys.push(key);
        }
        if wanted == [0; 5] {
            break;
        }
    }
    keys
});

fn value(n: u8) -> Cid {
    Cid::raw(&[n])
}

/// A store that knows nodes by place, as the server's does.
#[derive(Default)]
struct Places {
    nodes: HashMap<Place, (Cid, StoredNode)>,
    ever: HashSet<Place>,
    loads: Cell<usize>,
}

impl NodeSource for Places {
    type Error = Infallible;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Infallible> {
        self.loads.set(self.loads.get() + 1);
        let (cid, node) = &self.nodes[&at.place];
        assert_eq!(*cid, at.cid, "a place holds the node that its parent means");
        Ok(Some(node.clone()))
    }
}

impl Places {
    fn take(&mut self, change: &Change) {
        let before: HashSet<Cid> = self.nodes.values().map(|(cid, _)| *cid).collect();
        for link in &change.removed {
            assert_eq!(self.nodes.remove(&link.place).map(|(cid, _)| cid), Some(link.cid));
        }
        for node in &change.written {
            let stored = StoredNode { block: node.block.clone(), children: node.children.clone() };
            if self.nodes.insert(node.link.place, (node.link.cid, stored)).is_none() {
                assert!(self.ever.insert(node.link.place), "a place is given once");
                assert!(node.link.place < change.next_place);
            }
        }
        let after: HashSet<Cid> = self.nodes.values().map(|(cid, _)| *cid).collect();
        assert_eq!(change.new_blocks.iter().copied().collect::<HashSet<_>>(), &after - &before);
        assert_eq!(change.replaced.iter().copied().collect::<HashSet<_>>(), &before - &after);
    }
}

type Model = BTreeMap<String, Cid>;

/// The tree of a model, by layers from the top: nothing of the code under test but the encoding of a fresh tree.
fn from_scratch(model: &Model) -> (Link, BlockMap) {
    let mut tree = Mst::empty(BlockMap::default());
    for (key, value) in model {
        tree.insert(key, *value).unwrap();
    }
    let change = tree.finish(Place(1)).unwrap();
    (change.root, change.written.into_iter().map(|node| (node.link.cid, node.block)).collect())
}

fn edit(tree: &mut Mst<&Places>, model: &mut Model, (key, wanted): (&String, Option<Cid>)) {
    let found = tree.get(key).unwrap();
    assert_eq!(found, model.get(key).copied());
    match (found, wanted) {
        (None, None) => assert!(tree.delete(key).is_err()),
        (Some(_), None) => assert_eq!(tree.delete(key).unwrap(), model.remove(key).unwrap()),
        (None, Some(value)) => {
            assert!(tree.update(key, value).is_err());
            tree.insert(key, value).unwrap();
        }
        (Some(old), Some(value)) => {
            assert!(tree.insert(key, value).is_err());
            assert_eq!(tree.update(key, value).unwrap(), old);
        }
    }
    if let Some(value) = wanted {
        model.insert(key.clone(), value);
    }
}

/// Undoes the difference between two models on a tree of which only some blocks are known.
fn undo(proof: &BlockMap, root: Cid, changes: &[(String, Option<Cid>, Option<Cid>)]) -> Cid {
    let mut tree = Mst::open(proof, Link::to_cid(root));
    for (key, old, new) in changes {
        match (old, new) {
            (None, Some(new)) => assert_eq!(tree.delete(key).unwrap(), *new),
            (Some(old), None) => tree.insert(key, *old).unwrap(),
            (Some(old), Some(new)) => assert_eq!(tree.update(key, *old).unwrap(), *new),
            (None, None) => unreachable!("not a change"),
        }
    }
    tree.root_cid().unwrap()
}

fn batches() -> impl Strategy<Value = Vec<Vec<(usize, Option<u8>)>>> {
    let edit = (0..KEYS.len(), prop_oneof![2 => Just(None), 3 => (0u8..3).prop_map(Some)]);
    // Now and then everything is deleted first, so that batches pass through the empty tree.
    let purge = (0..1usize).prop_map(|_| (0..KEYS.len()).map(|key| (key, None)).collect::<Vec<_>>());
    let batch = prop_oneof![
        6 => prop::collection::vec(edit.clone(), 1..25),
        1 => (purge, prop::collection::vec(edit, 0..4)).prop_map(|(a, b)| [a, b].concat()),
    ];
    prop::collection::vec(batch, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn edits_give_the_tree_built_from_scratch_and_can_be_undone(batches in batches()) {
        let mut places = Places::default();
        let mut model = Model::new();
        let empty = Mst::empty(BlockMap::default()).finish(Place(1)).unwrap();
        places.take(&empty);
        let (mut root, mut next) = (empty.root, empty.next_place);
        for batch in batches {
            let before = model.clone();
            let (change, proof) = {
                let mut tree = Mst::open(&places, root);
                for (key, wanted) in batch {
                    edit(&mut tree, &mut model, (&KEYS[key], wanted.map(value)));
                }
                let change = tree.finish(next).unwrap();
                let keys: Vec<&String> = before.keys().chain(model.keys()).filter(|key| before.get(*key) != model.get(*key)).collect();
                let proof: BlockMap = tree.proof(keys.iter().map(|key| key.as_str())).unwrap().into_iter().collect();
                (change, proof)
            };
            places.take(&change);
            let old_root = std::mem::replace(&mut root, change.root).cid;
            next = change.next_place;
            if before == model {
                prop_assert!(change.written.is_empty() && change.removed.is_empty(), "nothing changed, nothing is written");
            }

            let (fresh, blocks) = from_scratch(&model);
            prop_assert_eq!(root.cid, fresh.cid);
            let stored: HashSet<Cid> = places.nodes.values().map(|(cid, _)| *cid).collect();
            prop_assert_eq!(&stored, &blocks.keys().copied().collect::<HashSet<_>>());
            prop_assert_eq!(places.nodes.len(), blocks.len());

            let mut leaves = Model::new();
            for step in walk(&places, root, |_| true) {
                if let Step::Leaf { key, value } = step.unwrap() { leaves.insert(key, value); }
            }
            prop_assert_eq!(&leaves, &model);

            let mut changes: Vec<_> = KEYS.iter()
                .map(|key| (key.clone(), before.get(key).copied(), model.get(key).copied()))
                .filter(|(_, old, new)| old != new)
                .collect();
            for _ in 0..2 {
                prop_assert_eq!(undo(&proof, root.cid, &changes), old_root);
                changes.reverse();
            }
            changes.sort_by_key(|(key, _, new)| (new.is_some(), key.clone()));
            prop_assert_eq!(undo(&proof, root.cid, &changes), old_root);

            changes.sort();
            let (old, old_blocks) = from_scratch(&before);
            let found: Vec<_> = diff((&old_blocks, old), (&blocks, fresh)).unwrap()
                .into_iter().map(|found| (found.key, found.old, found.new)).collect();
            prop_assert_eq!(found, changes);
        }
    }

    #[test]
    fn a_range_is_that_of_a_sorted_map(keys in prop::collection::btree_set(0..57usize, 0..57), from in 0..57usize) {
        let model: Model = keys.into_iter().map(|key| (KEYS[key].clone(), value(1))).collect();
        let (root, blocks) = from_scratch(&model);
        let start = KEYS[from].as_str();
        let collect = |from, reverse| range(&blocks, root, from, reverse).map(|item| item.unwrap().0).collect::<Vec<_>>();
        prop_assert_eq!(collect(None, false), model.keys().cloned().collect::<Vec<_>>());
        prop_assert_eq!(collect(None, true), model.keys().rev().cloned().collect::<Vec<_>>());
        prop_assert_eq!(collect(Some(start), false), model.range(start.to_owned()..).map(|(key, _)| key.clone()).collect::<Vec<_>>());
        prop_assert_eq!(collect(Some(start), true), model.range(..=start.to_owned()).rev().map(|(key, _)| key.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn a_tree_with_altered_bytes_never_panics(at in 0usize..4000, with in any::<u8>(), keys in prop::collection::btree_set(0..57usize, 1..40)) {
        let model: Model = keys.into_iter().map(|key| (KEYS[key].clone(), value(1))).collect();
        let (root, mut blocks) = from_scratch(&model);
        let victim = *blocks.keys().min().unwrap();
        let mut bytes = blocks[&victim].to_vec();
        let at = at % bytes.len();
        bytes[at] = with;
        blocks.insert(victim, bytes.into());
        let steps = walk(&blocks, root, |_| true).count();
        prop_assert!(steps < 1000);
        for key in KEYS.iter() {
            let mut tree = Mst::open(&blocks, root);
            let _ = tree.get(key);
            let _ = tree.insert(key, value(2));
            let _ = tree.delete(key);
            let _ = tree.root_cid();
        }
    }
}

#[test]
fn a_write_into_a_large_tree_loads_one_path() {
    let mut places = Places::default();
    let mut tree = Mst::empty(BlockMap::default());
    for n in 0..20_000u32 {
        tree.insert(
            &format!("com.example.note/{:08}", n.wrapping_mul(2_654_435_761) % 100_000_000),
            value(1),
        )
        .unwrap();
    }
    let change = tree.finish(Place(1)).unwrap();
    places.take(&change);
    let mut most = (0, 0, 0);
    for n in 0..200 {
        places.loads.set(0);
        let mut tree = Mst::open(&places, change.root);
        let key = format!("com.example.note/{:08}x", n * 499_979);
        tree.insert(&key, value(2)).unwrap();
        let written = tree.finish(change.next_place).unwrap().written.len();
        let proof = tree.proof([key.as_str()].into_iter()).unwrap().len();
        most = (most.0.max(places.loads.get()), most.1.max(written), most.2.max(proof));
    }
    assert!(
        most.0 <= 24 && most.1 <= 24 && most.2 <= 24,
        "loads, nodes written, nodes in the proof: {most:?}"
    );
}

#[test]
fn a_difference_of_one_key_loads_one_path_on_each_side() {
    let model: Model = (0..20_000).map(|n| (format!("com.example.note/{n:08}"), value(1))).collect();
    let (old, mut places) = (from_scratch(&model).0, Places::default());
    let mut tree = Mst::empty(BlockMap::default());
    for (key, value) in &model {
        tree.insert(key, *value).unwrap();
    }
    let change = tree.finish(Place(1)).unwrap();
    assert_eq!(change.root.cid, old.cid);
    places.take(&change);
    let mut edited = Mst::open(&places, change.root);
    edited.update("com.example.note/00012345", value(2)).unwrap();
    let next = edited.finish(change.next_place).unwrap();
    let mut other = Places { nodes: places.nodes.clone(), ..Places::default() };
    for node in &next.written {
        let stored = StoredNode { block: node.block.clone(), children: node.children.clone() };
        other.nodes.insert(node.link.place, (node.link.cid, stored));
    }
    places.loads.set(0);
    let found = diff((&places, change.root), (&other, next.root)).unwrap();
    assert_eq!(found.len(), 1);
    assert!(
        places.loads.get() <= 16 && other.loads.get() <= 16,
        "{} and {}",
        places.loads.get(),
        other.loads.get()
    );
}
