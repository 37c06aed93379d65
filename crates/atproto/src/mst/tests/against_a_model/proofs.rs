//! The proof of a batch is enough to undo it, in whatever order, and to show what each key holds.

use super::*;

/// A key, its value before and its value after.
type Op = (String, Option<Cid>, Option<Cid>);

fn ops_between(old: &Model, new: &Model) -> Vec<Op> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let of = |model: &Model, key: &str| model.get(key).copied();
    keys.into_iter()
        .map(|key| (key.clone(), of(old, key), of(new, key)))
        .filter(|(_, before, after)| before != after)
        .collect()
}

/// Undoes operations in the order given, with nothing but the proof.
fn undo(root: Cid, proof: &BlockMap, ops: &[Op]) -> Result<Cid, MstError<std::convert::Infallible>> {
    let mut tree = Mst::open(proof, by_cid(root));
    for (key, before, after) in ops {
        match (before, after) {
            (None, _) => assert_eq!(Some(tree.delete(key)?), *after),
            (Some(before), Some(after)) => assert_eq!(tree.update(key, *before)?, *after),
            (Some(before), None) => tree.insert(key, *before)?,
        }
    }
    tree.root_cid()
}

proptest! {
    #[test]
    fn a_proof_undoes_its_batch_in_any_order(
        model in any_model(),
        batch in any_batch(),
        order in prop::collection::vec(any::<u16>(), 60),
    ) {
        let mut kept = Kept::of(model);
        let (old, old_root) = (kept.model.clone(), kept.root.cid);
        let mut tree = Mst::open(&kept.store, kept.root);
        for edit in &batch {
            apply(&mut tree, &mut kept.model, edit);
        }
        let mut ops = ops_between(&old, &kept.model);
        let early = tree.proof(ops.iter().map(|op| op.0.as_str())).unwrap();
        let root = tree.finish(kept.next_place).unwrap().root.cid;
        let proof = tree.proof(ops.iter().map(|op| op.0.as_str())).unwrap();
        prop_assert_eq!(&early, &proof, "whether it is finished or not");
        let proof = only(proof);

        let (_, nodes) = slow_build(&kept.model);
        prop_assert!(proof.iter().all(|(cid, block)| nodes.get(cid) == Some(block)), "of the new tree");
        prop_assert_eq!(undo(root, &proof, &ops).unwrap(), old_root, "forwards");
        ops.reverse();
        prop_assert_eq!(undo(root, &proof, &ops).unwrap(), old_root, "backwards");
        ops.sort_by_key(|(key, _, after)| (after.is_some(), key.clone()));
        prop_assert_eq!(undo(root, &proof, &ops).unwrap(), old_root, "deletes first");
        ops.reverse();
        prop_assert_eq!(undo(root, &proof, &ops).unwrap(), old_root, "creates first");
        let mut shuffled: Vec<_> = order.into_iter().zip(ops).collect();
        shuffled.sort_by_key(|(by, _)| *by);
        let ops: Vec<Op> = shuffled.into_iter().map(|(_, op)| op).collect();
        prop_assert_eq!(undo(root, &proof, &ops).unwrap(), old_root, "shuffled");
    }

    #[test]
    fn a_path_proves_that_a_key_is_there_or_not(model in any_model(), key in any_key()) {
        let (root, blocks) = slow_build(&model);
        let path = Mst::open(&blocks, by_cid(root)).path(&key).unwrap();
        prop_assert_eq!(path[0].0, root, "from the top");
        let proof: BlockMap = path.into_iter().collect();
        prop_assert_eq!(Mst::open(&proof, by_cid(root)).get(&key).unwrap(), model.get(&key).copied());
    }
}

#[test]
fn operations_that_are_not_what_happened_do_not_give_the_old_root() {
    let mut kept = Kept::of(KEYS.iter().skip(1).step_by(2).map(|key| (key.clone(), cid(1))).collect());
    let old_root = kept.root.cid;
    let (made, gone) = (KEYS[0].clone(), KEYS[1].clone());
    let mut tree = Mst::open(&kept.store, kept.root);
    apply(&mut tree, &mut kept.model, &Edit::Put(made.clone(), cid(2)));
    apply(&mut tree, &mut kept.model, &Edit::Delete(gone.clone()));
    let root = tree.finish(kept.next_place).unwrap().root.cid;
    let proof = only(tree.proof([made.as_str(), gone.as_str()].into_iter()).unwrap());
    let (create, delete) = ((made, None, Some(cid(2))), (gone.clone(), Some(cid(1)), None));
    assert_eq!(undo(root, &proof, &[create.clone(), delete.clone()]).unwrap(), old_root);
    assert_ne!(undo(root, &proof, std::slice::from_ref(&create)).unwrap(), old_root, "one left out");
    assert_ne!(
        undo(root, &proof, &[create.clone(), (gone, Some(cid(9)), None)]).unwrap(),
        old_root,
        "another value"
    );
    assert!(matches!(undo(root, &proof, &[delete.clone(), delete]), Err(MstError::Exists(_))));
}
