//! What a proof must let others do: see the keys, and undo the change.

use super::edits::{batches, edit};
use super::reference::tree_of;
use super::store::Store;
use super::{KEY_COUNT, KEYS, Model, model_of, value};
use proptest::prelude::*;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link, Mst, MstError};
use rookery_atproto::repo::{RepoOp, VerifyError, invert};
use std::collections::BTreeSet;

/// The operations that lead from one model to the other, in order of path.
pub(crate) fn ops_between(old: &Model, new: &Model) -> Vec<RepoOp> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .map(|key| RepoOp { path: key.clone(), cid: new.get(key).copied(), prev: old.get(key).copied() })
        .filter(|op| op.cid != op.prev)
        .collect()
}

/// Applies a batch to a model's tree; gives its new root and the proof of what changed.
fn change(old: &Model, batch: &[super::edits::Edit]) -> (Model, Cid, BlockMap) {
    let store = Store::new(old);
    let (mut tree, mut new) = (store.open(), old.clone());
    for (key, wanted) in batch {
        edit(&mut tree, &mut new, &KEYS[*key], wanted.map(value));
    }
    let root = tree.finish(store.next_place).unwrap().root.cid;
    let ops = ops_between(old, &new);
    let proof = tree.proof(ops.iter().map(|op| op.path.as_str())).unwrap();
    (new, root, proof.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_change_is_undone_from_its_proof_alone_in_any_order(
        batches in batches(),
        shuffle in Just((0..KEY_COUNT).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut model = Model::new();
        for batch in batches {
            let (new, root, proof) = change(&model, &batch);
            let before = tree_of(&model).0.cid;
            let ops = ops_between(&model, &new);
            let blocks = tree_of(&new).1;
            for (cid, block) in &proof {
                prop_assert_eq!(blocks.get(cid), Some(block), "only nodes of the new tree are in the proof");
            }

            let mut orders = vec![ops.clone(); 4];
            orders[1].reverse();
            orders[2].sort_by_key(|op| (op.cid.is_some(), op.path.clone()));
            orders[3] = shuffle.iter().filter_map(|at| ops.get(*at).cloned()).collect();
            for order in orders {
                prop_assert_eq!(invert(&order, root, &proof).unwrap(), before);
            }
            for op in &ops {
                prop_assert_eq!(Mst::open(&proof, Link::to_cid(root)).get(&op.path).unwrap(), op.cid);
            }
            model = new;
        }
    }

    #[test]
    fn a_proof_with_a_gap_gives_the_right_root_or_none(batches in batches()) {
        let mut model = Model::new();
        for batch in batches {
            let (new, root, proof) = change(&model, &batch);
            let before = tree_of(&model).0.cid;
            let ops = ops_between(&model, &new);
            for gap in proof.keys() {
                let mut rest = proof.clone();
                rest.remove(gap);
                match invert(&ops, root, &rest) {
                    Ok(found) => prop_assert_eq!(found, before),
                    Err(VerifyError::Mst(MstError::Missing(cid))) => prop_assert_eq!(cid, *gap),
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            model = new;
        }
    }

    #[test]
    fn operations_that_did_not_happen_are_not_undone(
        keys in prop::collection::btree_set(0..KEY_COUNT, 2..30),
        (claimed, prev) in (0..KEY_COUNT, prop::option::of(2u8..4)),
    ) {
        let old = model_of(keys);
        let (root, blocks) = tree_of(&old);
        let path = KEYS[claimed].clone();
        // It says that the path came to another value, or was deleted though it is there, or came to be though it did not.
        let cid = if old.contains_key(&path) { prev.map(value) } else { Some(value(1)) };
        let op = RepoOp { path, cid, prev: prev.map(value) };
        prop_assert!(invert(&[op], root.cid, &blocks).is_err());
    }

    #[test]
    fn a_path_shows_what_is_and_what_is_not_there(
        keys in prop::collection::btree_set(0..KEY_COUNT, 0..KEY_COUNT),
        wanted in 0..KEY_COUNT,
    ) {
        let model = model_of(keys);
        let (root, blocks) = tree_of(&model);
        let key = &KEYS[wanted];
        let path = Mst::open(&blocks, root).path(key).unwrap();
        prop_assert_eq!(path[0].0, root.cid);
        let mut proof: BlockMap = path.iter().cloned().collect();
        prop_assert_eq!(proof.len(), path.len());
        prop_assert_eq!(Mst::open(&proof, root).get(key).unwrap(), model.get(key).copied());
        if model.contains_key(key) {
            for (cid, _) in &path {
                let block = proof.remove(cid).unwrap();
                let found = Mst::open(&proof, root).get(key);
                prop_assert!(matches!(found, Err(MstError::Missing(missing)) if missing == *cid));
                proof.insert(*cid, block);
            }
        }
    }
}
