//! Edits give the tree that the content gives, and the store what it needs for it.

use super::*;

#[test]
fn the_empty_tree_has_its_well_known_root() {
    let root = Mst::empty(BlockMap::default()).root_cid().unwrap();
    assert_eq!(root.to_string(), "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");
    assert_eq!(slow_build(&Model::new()).0, root);
}

#[test]
fn what_is_inserted_is_found_until_it_is_deleted() {
    let mut tree = Mst::empty(BlockMap::default());
    let mut model = Model::new();
    let key = |n: u64| format!("com.example.thing/{:05}", n % 300);
    for n in 0..300 {
        apply(&mut tree, &mut model, &Edit::Put(key(n * 7919), cid(n)));
    }
    assert_eq!(tree.root_cid().unwrap(), slow_build(&model).0);
    // In an order in which there is something on both sides, so that subtrees merge.
    for n in 0..300 {
        apply(&mut tree, &mut model, &Edit::Delete(key(n * 4441)));
        assert_eq!(tree.root_cid().unwrap(), slow_build(&model).0, "after {n}");
    }
    assert!(model.is_empty());
}

#[test]
fn a_batch_that_empties_the_tree_and_refills_it_lower_is_canonical() {
    let of_layer = |layer: u8| KEYS.iter().find(|key| slow_layer(key) == layer).unwrap().clone();
    let mut kept = Kept::new();
    kept.write(&[Edit::Put(of_layer(2), cid(1)), Edit::Put(of_layer(1), cid(2))]);
    kept.write(&[Edit::Delete(of_layer(2)), Edit::Delete(of_layer(1)), Edit::Put(of_layer(0), cid(3))]);
    kept.write(&[Edit::Delete(of_layer(0)), Edit::Put(of_layer(5), cid(3)), Edit::Put(of_layer(0), cid(3))]);
    let change = kept.write(&[Edit::Delete(of_layer(5)), Edit::Delete(of_layer(0))]);
    assert_eq!(change.written.len(), 1);
}

/// A new node that merges with a stored one takes its place, so that no place is spent.
#[test]
fn nodes_that_merge_keep_a_place_if_either_has_one() {
    let mut low: Vec<&String> = KEYS.iter().filter(|key| slow_layer(key) == 0).collect();
    low.sort();
    let high = KEYS.iter().find(|key| slow_layer(key) == 1 && *key > low[0] && *key < low[8]).unwrap();
    let mut kept = Kept::new();
    kept.write(&[Edit::Put(high.clone(), cid(1)), Edit::Put(low[8].clone(), cid(1))]);
    let change = kept.write(&[Edit::Put(low[0].clone(), cid(1)), Edit::Delete(high.clone())]);
    assert_eq!((change.written.len(), change.removed.len()), (1, 1));
    assert!(change.removed[0].place != change.root.place && change.next_place == kept.next_place);
    assert_eq!(change.next_place, Place(3));
}

#[test]
fn a_batch_that_comes_back_to_where_it_was_writes_nothing() {
    let mut kept = Kept::new();
    kept.write(&KEYS.iter().map(|key| Edit::Put(key.clone(), cid(1))).collect::<Vec<_>>());
    for key in KEYS.iter() {
        let other = Edit::Put(key.clone(), cid(2));
        let change = kept.write(&[other, Edit::Put(key.clone(), cid(1))]);
        assert!(change.written.is_empty() && change.removed.is_empty(), "{change:?}");
    }
}

#[test]
fn asking_for_the_root_leaves_what_is_to_be_written() {
    let store = Store::default();
    let mut tree = Mst::empty(&store);
    tree.insert(&KEYS[0], cid(1)).unwrap();
    let root = tree.root_cid().unwrap();
    let change = tree.finish(Place(1)).unwrap();
    assert_eq!((change.root.cid, change.written.len()), (root, 1));
}

#[test]
fn keys_that_are_no_record_paths_are_refused() {
    let mut tree = Mst::empty(BlockMap::default());
    let long = format!("com.example.thing/{}", "x".repeat(MAX_KEY_LEN));
    for key in
        ["", "a", "/", "a/", "/a", "a/b/c", "a b/c", "a/ü", "a/b\0", "../a", "a/..", "a/.", "./a", &long]
    {
        assert!(matches!(tree.insert(key, cid(1)), Err(MstError::Key(_))), "{key}");
        assert_eq!(tree.get(key).unwrap(), None);
        assert!(matches!(tree.delete(key), Err(MstError::Absent(_))));
    }
    assert_eq!(tree.root_cid().unwrap(), slow_build(&Model::new()).0);
}

#[test]
fn keys_chosen_for_one_node_are_refused_before_it_grows_without_bound() {
    let mut keys = (0u64..).map(|n| format!("com.example.low/{n:08}")).filter(|key| slow_layer(key) == 0);
    let mut kept = Kept::of(keys.by_ref().take(MAX_NODE_KEYS).map(|key| (key, cid(0))).collect());
    let mut tree = Mst::open(&kept.store, kept.root);
    let more = keys.next().unwrap();
    tree.insert(&more, cid(0)).unwrap();
    assert!(matches!(tree.finish(kept.next_place), Err(MstError::Full(n)) if n == MAX_NODE_KEYS + 1));
    tree.delete(&more).unwrap();
    assert!(tree.finish(kept.next_place).unwrap().written.is_empty());
    // Keys between them that lie higher are no trouble, until they go.
    let high = (0u64..).map(|n| format!("com.example.low/{n:08}x")).find(|key| slow_layer(key) == 1).unwrap();
    kept.write(&[Edit::Put(high.clone(), cid(0))]);
    kept.write(&[Edit::Put(more.clone(), cid(0))]);
    let mut tree = Mst::open(&kept.store, kept.root);
    tree.delete(&high).unwrap();
    assert!(matches!(tree.finish(kept.next_place), Err(MstError::Full(_))));
}

#[test]
fn a_write_loads_one_path_of_a_large_tree() {
    let keys: Vec<String> = (0..20_000u64).map(|n| format!("com.example.post/{:013}", n * 7)).collect();
    let kept = Kept::of(keys.iter().map(|key| (key.clone(), cid(0))).collect());
    let layers = keys.iter().map(|key| usize::from(slow_layer(key)) + 1).max().unwrap();
    let mut most = 0;
    for n in (1..20_000u64).step_by(97) {
        kept.store.loads.set(0);
        let mut tree = Mst::open(&kept.store, kept.root);
        tree.insert(&format!("com.example.post/{:013}", n * 7 - 3), cid(1)).unwrap();
        let change = tree.finish(kept.next_place).unwrap();
        assert!(change.written.len() <= 2 * layers, "{}", change.written.len());
        most = most.max(kept.store.loads.get());
    }
    assert!(most <= layers, "{most} nodes of {layers} layers loaded for one write");
}

#[test]
fn a_store_that_knows_another_number_of_places_is_refused() {
    let kept = Kept::of(KEYS.iter().map(|key| (key.clone(), cid(1))).collect());
    for children in [vec![Place(1)], vec![Place(1); 99]] {
        kept.store.nodes.borrow_mut().get_mut(&kept.root.place).unwrap().1.children = children;
        let got = Mst::open(&kept.store, kept.root).get(&KEYS[0]);
        assert!(matches!(got, Err(MstError::Node { fault: NodeFault::Places, .. })));
    }
}

proptest! {
    #[test]
    fn any_batches_give_the_tree_of_their_content_and_its_places(batches in any_batches()) {
        let mut kept = Kept::new();
        for batch in &batches {
            kept.write(batch);
        }
    }

    /// The same tree in memory is edited on after it was stored.
    #[test]
    fn a_tree_can_be_edited_on_after_it_was_finished(batches in any_batches()) {
        let mut kept = Kept::new();
        let blocks = Store::default();
        let mut tree = Mst::empty(&blocks);
        kept.store.nodes.take();
        kept.next_place = Place(1);
        for batch in &batches {
            for edit in batch {
                apply(&mut tree, &mut kept.model, edit);
            }
            let change = tree.finish(kept.next_place).unwrap();
            kept.keep(&change);
            kept.check();
        }
        prop_assert_eq!(blocks.loads.get(), 0, "what was written is still in memory");
    }

    #[test]
    fn a_source_that_only_knows_cids_gives_the_same_tree(model in any_model(), batch in any_batch()) {
        let (root, blocks) = slow_build(&model);
        let mut model = model;
        let mut tree = Mst::open(&blocks, by_cid(root));
        for edit in &batch {
            apply(&mut tree, &mut model, edit);
        }
        let (after, new) = slow_build(&model);
        let change = tree.finish(Place(1)).unwrap();
        prop_assert_eq!(change.root.cid, after);
        let written: BTreeSet<Cid> = change.written.iter().map(|node| node.link.cid).collect();
        let added: BTreeSet<Cid> = new.keys().filter(|cid| !blocks.contains_key(cid)).copied().collect();
        prop_assert!(written.is_superset(&added));
        prop_assert_eq!(change.new_blocks.into_iter().collect::<BTreeSet<_>>(), added);
    }

    #[test]
    fn a_failing_store_leaves_the_tree_as_it_was(model in any_model(), batch in any_batch(), fail in 0usize..12) {
        let mut kept = Kept::of(model);
        kept.store.loads.set(0);
        let mut tree = Mst::open(&kept.store, kept.root);
        for edit in &batch {
            kept.store.fail_after.set(Some(fail));
            let failed = match edit {
                Edit::Put(key, value) if !kept.model.contains_key(key) => tree.insert(key, *value).err(),
                Edit::Put(key, value) => tree.update(key, *value).err(),
                Edit::Delete(key) => tree.delete(key).err(),
            };
            kept.store.fail_after.set(None);
            match failed {
                // What failed is done again: it finds the tree as it was.
                Some(MstError::Source(Failure)) => apply(&mut tree, &mut kept.model, edit),
                _ => match edit {
                    Edit::Put(key, value) => { kept.model.insert(key.clone(), *value); }
                    Edit::Delete(key) => { kept.model.remove(key); }
                },
            }
        }
        kept.store.fail_after.set(Some(0));
        let _ = tree.finish(kept.next_place);
        kept.store.fail_after.set(None);
        prop_assert_eq!(tree.root_cid().unwrap(), slow_build(&kept.model).0);
    }
}
