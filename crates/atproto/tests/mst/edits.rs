//! Any sequence of edits gives the tree that the plain construction gives, in memory and in a store.

use super::reference::tree_of;
use super::store::{Store, sorted};
use super::{KEY_COUNT, KEYS, Model, model_of, value};
use proptest::prelude::*;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Mst, MstError, NodeSource, Place};
use std::collections::HashSet;

/// One edit: which key, and which value or none. Edits that do not fit must be refused.
pub(crate) type Edit = (usize, Option<u8>);

/// Batches of edits; now and then one deletes everything first, so that it passes through the empty tree.
pub(crate) fn batches() -> impl Strategy<Value = Vec<Vec<Edit>>> {
    let edit = (0..KEY_COUNT, prop_oneof![2 => Just(None), 3 => (0u8..3).prop_map(Some)]);
    let purge = Just((0..KEY_COUNT).map(|key| (key, None)).collect::<Vec<Edit>>());
    let batch = prop_oneof![
        6 => prop::collection::vec(edit.clone(), 1..25),
        3 => prop::collection::vec(edit.clone(), 1..3),
        1 => (purge, prop::collection::vec(edit, 0..4)).prop_map(|(a, b)| [a, b].concat()),
    ];
    prop::collection::vec(batch, 1..8)
}

/// Does one edit on tree and model, after the edits that must be refused.
pub(crate) fn edit<S: NodeSource>(tree: &mut Mst<S>, model: &mut Model, key: &str, wanted: Option<Cid>) {
    let found = tree.get(key).unwrap();
    assert_eq!(found, model.get(key).copied());
    match (found, wanted) {
        (None, None) => assert!(matches!(tree.delete(key), Err(MstError::Absent(_)))),
        (Some(_), None) => assert_eq!(tree.delete(key).unwrap(), model.remove(key).unwrap()),
        (None, Some(value)) => {
            assert!(matches!(tree.update(key, value), Err(MstError::Absent(_))));
            tree.insert(key, value).unwrap();
        }
        (Some(old), Some(value)) => {
            assert!(matches!(tree.insert(key, value), Err(MstError::Exists(_))));
            assert_eq!(tree.update(key, value).unwrap(), old);
        }
    }
    if let Some(value) = wanted {
        model.insert(key.to_owned(), value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn edits_give_the_tree_built_from_scratch(batches in batches()) {
        let (mut store, mut model) = (Store::new(&Model::new()), Model::new());
        for batch in batches {
            let before = model.clone();
            let change = {
                let mut tree = store.open();
                for (key, wanted) in batch {
                    edit(&mut tree, &mut model, &KEYS[key], wanted.map(value));
                }
                tree.finish(store.next_place).unwrap()
            };
            store.take(&change);
            if before == model {
                prop_assert!(change.new_blocks.is_empty() && change.replaced.is_empty());
            }
            let (root, blocks) = tree_of(&model);
            prop_assert_eq!(store.root.cid, root.cid);
            prop_assert_eq!(store.cids(), blocks.keys().copied().collect::<HashSet<_>>());
            prop_assert_eq!(store.nodes.len(), blocks.len(), "no node is kept twice");
            prop_assert_eq!(store.leaves(), model.clone());
        }
    }

    #[test]
    fn what_is_deleted_and_made_again_in_one_batch_may_move_but_stays_whole(
        keys in prop::collection::btree_set(0..KEY_COUNT, 1..30),
        again in prop::collection::btree_set(0..KEY_COUNT, 1..6),
        extra in prop::option::of(0..KEY_COUNT),
    ) {
        let mut model = model_of(keys);
        let mut store = Store::new(&model);
        let before = model.clone();
        let change = {
            let mut tree = store.open();
            let again: Vec<&String> = again.iter().map(|at| &KEYS[*at]).filter(|key| model.contains_key(*key)).collect();
            for wanted in [None, Some(value(1))] {
                for key in &again {
                    edit(&mut tree, &mut model, key, wanted);
                }
            }
            if let Some(extra) = extra {
                edit(&mut tree, &mut model, &KEYS[extra], Some(value(2)));
            }
            tree.finish(store.next_place).unwrap()
        };
        store.take(&change);
        prop_assert_eq!(store.root.cid, tree_of(&model).0.cid);
        prop_assert_eq!(store.nodes.len(), tree_of(&model).1.len());
        prop_assert_eq!(store.leaves(), model.clone());
        if before == model {
            prop_assert!(change.new_blocks.is_empty() && change.replaced.is_empty());
        }
    }

    #[test]
    fn edits_without_effect_write_nothing(keys in prop::collection::btree_set(0..KEY_COUNT, 0..30), at in 0..KEY_COUNT) {
        let model = model_of(keys);
        let store = Store::new(&model);
        let mut tree = store.open();
        let key = &KEYS[at];
        match model.get(key) {
            Some(same) => {
                tree.update(key, value(2)).unwrap();
                tree.update(key, *same).unwrap();
            }
            None => prop_assert!(tree.delete(key).is_err() && tree.update(key, value(2)).is_err()),
        }
        let change = tree.finish(store.next_place).unwrap();
        prop_assert_eq!(change.root, store.root);
        prop_assert!(change.written.is_empty() && change.removed.is_empty());
        prop_assert!(change.new_blocks.is_empty() && change.replaced.is_empty());
        prop_assert_eq!(change.next_place, store.next_place);
    }

    #[test]
    fn a_tree_can_be_edited_further_after_each_finish(batches in batches()) {
        let (mut store, mut model) = (Store::new(&Model::new()), Model::new());
        let source = store.clone();
        let mut tree = source.open();
        for batch in batches {
            for (key, wanted) in batch {
                edit(&mut tree, &mut model, &KEYS[key], wanted.map(value));
            }
            store.take(&tree.finish(store.next_place).unwrap());
            prop_assert_eq!(store.root.cid, tree_of(&model).0.cid);
            prop_assert_eq!(store.leaves(), model.clone());
        }
    }

    #[test]
    fn a_store_without_places_gets_the_same_blocks(batches in batches()) {
        let (mut blocks, mut model) = (tree_of(&Model::new()).1, Model::new());
        let mut root = tree_of(&model).0;
        for batch in batches {
            let change = {
                let mut tree = Mst::open(&blocks, root);
                for (key, wanted) in batch {
                    edit(&mut tree, &mut model, &KEYS[key], wanted.map(value));
                }
                tree.finish(Place(1)).unwrap()
            };
            let written: BlockMap = change.written.into_iter().map(|node| (node.link.cid, node.block)).collect();
            let before: HashSet<Cid> = blocks.keys().copied().collect();
            blocks.extend(written);
            blocks.retain(|cid, _| !change.replaced.contains(cid));
            root = rookery_atproto::mst::Link::to_cid(change.root.cid);
            prop_assert_eq!(&blocks, &tree_of(&model).1);
            let after: HashSet<Cid> = blocks.keys().copied().collect();
            prop_assert_eq!(sorted(&change.new_blocks), sorted(&after - &before));
            prop_assert_eq!(sorted(&change.replaced), sorted(&before - &after));
        }
    }
}

#[test]
fn a_tree_may_grow_and_come_down_by_several_layers_at_once() {
    let highest = KEYS.iter().max_by_key(|key| rookery_atproto::mst::key_layer(key)).unwrap();
    let low = KEYS.iter().find(|key| rookery_atproto::mst::key_layer(key) == 0).unwrap();
    let (mut store, mut model) = (Store::new(&Model::new()), Model::new());
    for (key, wanted) in [
        (low, Some(1)),
        (highest, Some(1)),
        (highest, None),
        (highest, Some(2)),
        (low, None),
        (highest, None),
    ] {
        let change = {
            let mut tree = store.open();
            edit(&mut tree, &mut model, key, wanted.map(value));
            tree.finish(store.next_place).unwrap()
        };
        store.take(&change);
        assert_eq!(store.cids(), tree_of(&model).1.into_keys().collect());
    }
    assert_eq!(store.nodes.len(), 1, "what is left is the empty tree");
}
