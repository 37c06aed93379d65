//! Trees that strangers made up: refused, and in no case a panic or work without end.

use super::nodes::{compressed, node};
use super::reference::{Leaf, tree_of, tree_of_leaves};
use super::{KEY_COUNT, KEYS, Model, model_of, value};
use proptest::prelude::*;
use proptest::sample::Index;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link, Mst, MstError, Step, diff, key_layer, range, walk};
use std::collections::BTreeSet;
use std::convert::Infallible;

pub(crate) type Fault = MstError<Infallible>;

/// Everything that can be done with a tree, with every key; what it says does not matter.
pub(crate) fn use_all(root: Link, blocks: &BlockMap) {
    for key in KEYS.iter() {
        let open = || Mst::open(blocks, root);
        let _ = open().get(key);
        let _ = open().path(key);
        for edit in [Mst::delete, |tree: &mut Mst<&BlockMap>, key: &str| tree.update(key, value(2))] {
            let mut tree = open();
            let _ = edit(&mut tree, key);
            let _ = tree.root_cid();
            let _ = tree.proof([key.as_str()].into_iter());
        }
        let mut tree = open();
        let _ = tree.insert(key, value(2));
        let _ = tree.root_cid();
        for reverse in [false, true] {
            assert!(range(blocks, root, Some(key), reverse).take(1000).count() < 1000);
        }
    }
    let (empty, none) = tree_of(&Model::new());
    let _ = diff((blocks, root), (&none, empty));
}

/// The leaves of a tree, if a walk through all of it finds no fault.
pub(crate) fn accepted(root: Link, blocks: &BlockMap) -> Result<Model, Fault> {
    let steps = walk(blocks, root, |_| true).collect::<Result<Vec<Step>, Fault>>()?;
    assert!(steps.len() < 1000);
    Ok(steps
        .into_iter()
        .filter_map(|step| match step {
            Step::Leaf { key, value } => Some((key, value)),
            Step::Node { .. } => None,
        })
        .collect())
}

/// A node to be: its layer, keys of which those of the layer count, and which of the nodes below go into its gaps.
fn shape() -> impl Strategy<Value = (u8, BTreeSet<usize>, Vec<Option<Index>>)> {
    let keys = prop::collection::btree_set(0..KEY_COUNT, 0..6);
    (0u8..6, keys, prop::collection::vec(prop::option::of(any::<Index>()), 7))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn leaves_that_are_out_of_order_anywhere_are_refused(
        keys in prop::collection::btree_set(0..KEY_COUNT, 2..40),
        (a, b) in (any::<Index>(), any::<Index>()),
        twice in any::<bool>(),
    ) {
        let mut leaves: Vec<Leaf> = model_of(keys).into_iter().collect();
        let (a, b) = (a.index(leaves.len()), b.index(leaves.len()));
        prop_assume!(a != b);
        if twice {
            leaves[a] = leaves[b].clone();
        } else {
            leaves.swap(a, b);
        }
        let (root, blocks) = tree_of_leaves(&leaves);
        let found = accepted(root, &blocks);
        prop_assert!(found.is_err());
        use_all(root, &blocks);
        let (empty, none) = tree_of(&Model::new());
        prop_assert!(diff((&blocks, root), (&none, empty)).is_err());
        for reverse in [false, true] {
            prop_assert!(range(&blocks, root, None, reverse).any(|item| item.is_err()));
        }
    }

    #[test]
    fn what_is_accepted_of_an_altered_tree_is_a_canonical_tree(
        keys in prop::collection::btree_set(0..KEY_COUNT, 1..40),
        (victim, at, with) in (any::<Index>(), any::<Index>(), any::<u8>()),
    ) {
        let (root, mut blocks) = tree_of(&model_of(keys));
        let mut order: Vec<Cid> = blocks.keys().copied().collect();
        order.sort();
        let victim = *victim.get(&order);
        let mut bytes = blocks[&victim].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        // The block stands under its old hash, as no source would give it, so that what is above is the same.
        blocks.insert(victim, bytes.clone().into());
        if let Ok(leaves) = accepted(root, &blocks) {
            let (_, canonical) = tree_of(&leaves);
            prop_assert_eq!(canonical.get(&Cid::dag_cbor(&bytes)).map(|block| block.to_vec()), Some(bytes));
        }
        use_all(root, &blocks);
    }

    #[test]
    fn arbitrary_nodes_over_one_another_are_refused_or_canonical(
        shapes in prop::collection::vec(shape(), 1..12),
    ) {
        let mut blocks = BlockMap::default();
        let mut made: Vec<(u8, Cid)> = Vec::new();
        for (layer, keys, subtrees) in shapes {
            let below: Vec<Cid> = made.iter().filter(|(of, _)| of + 1 == layer).map(|(_, cid)| *cid).collect();
            let mut subtrees = subtrees.into_iter().map(|at| at.filter(|_| !below.is_empty()).map(|at| *at.get(&below)));
            let keys = keys.into_iter().map(|at| KEYS[at].as_str()).filter(|key| key_layer(key) == layer);
            let keys: Vec<&str> = keys.collect::<BTreeSet<_>>().into_iter().collect();
            let left = subtrees.next().unwrap();
            let block = node(left, &compressed(&keys, || subtrees.next().unwrap()));
            let root = Cid::dag_cbor(&block);
            blocks.insert(root, block.into());
            made.push((layer, root));
            if let Ok(leaves) = accepted(Link::to_cid(root), &blocks) {
                prop_assert_eq!(tree_of(&leaves).0.cid, root);
            }
            use_all(Link::to_cid(root), &blocks);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_tree(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let root = Link::to_cid(Cid::dag_cbor(&bytes));
        let blocks: BlockMap = [(root.cid, bytes.into())].into();
        prop_assert!(accepted(root, &blocks).is_err());
        let _ = Mst::open(&blocks, root).insert(&KEYS[0], value(1));
    }
}
