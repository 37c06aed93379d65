//! Walks, ranges and differences.

use super::proofs::ops_between;
use super::reference::tree_of;
use super::{KEY_COUNT, KEYS, Model, model_of, value};
use proptest::prelude::*;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{Difference, Link, Step, Walk, diff, key_layer, range, walk};
use std::collections::HashSet;
use std::iter;

type Keys = std::collections::BTreeSet<usize>;

fn some_keys() -> impl Strategy<Value = Keys> {
    prop::collection::btree_set(0..KEY_COUNT, 0..KEY_COUNT)
}

/// The nodes and the leaves of a walk.
fn split(steps: impl Iterator<Item = Step>) -> (Vec<Cid>, Vec<(String, Cid)>) {
    let (mut nodes, mut leaves) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Node { link, block } => {
                assert_eq!(Cid::dag_cbor(&block), link.cid);
                nodes.push(link.cid);
            }
            Step::Leaf { key, value } => leaves.push((key, value)),
        }
    }
    (nodes, leaves)
}

proptest! {
    #[test]
    fn a_walk_gives_each_node_once_and_leaves_in_order(keys in some_keys()) {
        let model = model_of(keys);
        let (root, blocks) = tree_of(&model);
        let (nodes, leaves) = split(walk(&blocks, root, |_| true).map(Result::unwrap));
        prop_assert_eq!(nodes.len(), blocks.len());
        prop_assert_eq!(nodes[0], root.cid, "the top comes first");
        prop_assert_eq!(nodes.into_iter().collect::<HashSet<_>>(), blocks.into_keys().collect::<HashSet<_>>());
        prop_assert_eq!(leaves, model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_walk_leaves_out_what_it_is_told_to(keys in some_keys(), seed in any::<u8>()) {
        let model = model_of(keys);
        let (root, blocks) = tree_of(&model);
        let wanted = |cid: &Cid| cid.digest()[0] > seed;
        let (nodes, leaves) = split(walk(&blocks, root, |link| wanted(&link.cid)).map(Result::unwrap));
        prop_assert!(nodes.iter().all(wanted));
        // Whole subtrees and nothing else is left out: the blocks of the walk are enough to repeat it.
        let mut rest = blocks.clone();
        rest.retain(|cid, _| nodes.contains(cid));
        let (again, _) = split(walk(&rest, root, |link| wanted(&link.cid)).map(Result::unwrap));
        prop_assert_eq!(&again, &nodes);
        for key in model.keys() {
            let path = rookery_atproto::mst::Mst::open(&blocks, root).path(key).unwrap();
            let open = path.iter().all(|(cid, _)| wanted(cid));
            prop_assert_eq!(leaves.iter().any(|(leaf, _)| leaf == key), open);
        }
    }

    #[test]
    fn a_range_is_that_of_a_sorted_map(keys in some_keys(), from in 0..KEY_COUNT, past in any::<bool>()) {
        let model = model_of(keys);
        let (root, blocks) = tree_of(&model);
        let mut start = KEYS[from].clone();
        if past {
            start.push('x');
        }
        let collect = |from, reverse| range(&blocks, root, from, reverse).map(|item| item.unwrap().0).collect::<Vec<_>>();
        let keys: Vec<String> = model.keys().cloned().collect();
        prop_assert_eq!(&collect(None, false), &keys);
        prop_assert_eq!(collect(None, true), keys.iter().rev().cloned().collect::<Vec<_>>());
        let at = keys.partition_point(|key| *key < start);
        prop_assert_eq!(collect(Some(&start), false), keys[at..].to_vec());
        let to = keys.partition_point(|key| *key <= start);
        prop_assert_eq!(collect(Some(&start), true), keys[..to].iter().rev().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn a_difference_is_that_of_sorted_maps(old in some_keys(), new in some_keys(), updates in some_keys()) {
        let (old, mut new) = (model_of(old), model_of(new));
        for at in updates {
            new.entry(KEYS[at].clone()).and_modify(|cid| *cid = value(2));
        }
        let ((a, a_blocks), (b, b_blocks)) = (tree_of(&old), tree_of(&new));
        let wanted: Vec<Difference> = ops_between(&old, &new)
            .into_iter()
            .map(|op| Difference { key: op.path, old: op.prev, new: op.cid })
            .collect();
        prop_assert_eq!(diff((&a_blocks, a), (&b_blocks, b)).unwrap(), wanted);
    }
}

#[test]
fn a_walk_goes_on_with_whatever_shows_the_same_tree() {
    let (root, blocks) = tree_of(&model_of(0..KEY_COUNT));
    let mut left = Walk::new(root);
    let steps: Vec<_> = iter::from_fn(|| left.next(&blocks.clone(), |_| Ok(true)).unwrap()).collect();
    assert_eq!(steps, walk(&blocks, root, |_| true).map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(left.next(&blocks, |_| Ok(true)).unwrap(), None, "it stays at the end");
}

#[test]
fn a_range_outside_of_all_keys_is_empty_or_whole() {
    let model: Model = model_of(0..KEY_COUNT);
    let (root, blocks) = tree_of(&model);
    for (from, reverse, count) in
        [("a/a", false, KEY_COUNT), ("a/a", true, 0), ("z/z", false, 0), ("z/z", true, KEY_COUNT)]
    {
        assert_eq!(range(&blocks, root, Some(from), reverse).count(), count, "{from} {reverse}");
    }
    let (root, blocks) = tree_of(&Model::new());
    assert_eq!(range(&blocks, root, None, true).count(), 0);
}

#[test]
fn what_is_missing_ends_a_walk_a_range_and_a_difference() {
    let model: Model = model_of(0..KEY_COUNT);
    assert!(model.keys().any(|key| key_layer(key) == 5));
    let (root, blocks) = tree_of(&model);
    for gap in blocks.keys() {
        let mut rest = blocks.clone();
        rest.remove(gap);
        assert_eq!(walk(&rest, root, |_| true).filter(Result::is_err).count(), 1);
        assert!(walk(&rest, root, |_| true).last().unwrap().is_err());
        for reverse in [false, true] {
            assert_eq!(range(&rest, root, None, reverse).filter(Result::is_err).count(), 1);
        }
        let (empty, top) = tree_of(&Model::new());
        assert!(diff((&rest, root), (&top, empty)).is_err());
    }
    assert!(walk(&blocks, Link::to_cid(value(9)), |_| true).next().unwrap().is_err());
}
