//! Walks, ranges and differences.

use super::*;

/// What a range must give.
fn expected(model: &Model, from: Option<&str>, reverse: bool) -> Vec<(String, Cid)> {
    let all = model.iter().map(|(key, value)| (key.clone(), *value));
    match (reverse, from) {
        (false, from) => all.filter(|(key, _)| from.is_none_or(|from| key.as_str() >= from)).collect(),
        (true, from) => all.rev().filter(|(key, _)| from.is_none_or(|from| key.as_str() <= from)).collect(),
    }
}

proptest! {
    #[test]
    fn a_range_starts_where_it_is_told_in_both_directions(model in any_model(), from in any_key(), cut in 0usize..30) {
        let (root, blocks) = slow_build(&model);
        // Also starts that are no keys of the tree, before and after all of it.
        let (short, _) = from.split_at(cut.min(from.len()));
        for from in [None, Some(from.as_str()), Some(short), Some("zzz/z")] {
            for reverse in [false, true] {
                let found: Vec<_> =
                    range(&blocks, by_cid(root), from, reverse).collect::<Result<_, _>>().unwrap();
                prop_assert_eq!(found, expected(&model, from, reverse));
            }
        }
    }

    #[test]
    fn a_difference_is_what_is_not_equal(old in any_model(), new in any_model()) {
        let ((a, a_blocks), (b, b_blocks)) = (slow_build(&old), slow_build(&new));
        let found = diff((&a_blocks, by_cid(a)), (&b_blocks, by_cid(b))).unwrap();
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let expected: Vec<Difference> = keys
            .into_iter()
            .map(|key| Difference { key: key.clone(), old: old.get(key).copied(), new: new.get(key).copied() })
            .filter(|difference| difference.old != difference.new)
            .collect();
        prop_assert_eq!(&found, &expected);

        // Applied forwards it gives the new tree, and undone the old one.
        let mut tree = Mst::open(&a_blocks, by_cid(a));
        for forwards in [true, false] {
            for Difference { key, old, new } in &found {
                match if forwards { (*old, *new) } else { (*new, *old) } {
                    (None, Some(value)) => tree.insert(key, value).unwrap(),
                    (Some(_), Some(value)) => drop(tree.update(key, value).unwrap()),
                    _ => drop(tree.delete(key).unwrap()),
                }
            }
            prop_assert_eq!(tree.root_cid().unwrap(), if forwards { b } else { a });
        }
    }

    #[test]
    fn a_subtree_that_is_not_wanted_is_not_loaded(model in any_model(), pick in any::<u64>()) {
        let kept = Kept::of(model);
        let whole: Vec<Step> = walk(&kept.store, kept.root, |_| true).collect::<Result<_, _>>().unwrap();
        let links: Vec<Link> = whole.iter().filter_map(|step| match step {
            Step::Node { link, .. } => Some(*link),
            Step::Leaf { .. } => None,
        }).collect();
        let skip = links[usize::try_from(pick).unwrap_or(0) % links.len()];
        kept.store.loads.set(0);
        let mut asked = 0;
        let rest: Vec<Step> = walk(&kept.store, kept.root, |link| { asked += 1; *link != skip })
            .collect::<Result<_, _>>()
            .unwrap();
        let nodes = rest.iter().filter(|step| matches!(step, Step::Node { .. })).count();
        prop_assert_eq!(kept.store.loads.get(), nodes);
        prop_assert_eq!(asked, nodes + 1);
        // What is left out is one piece of the whole.
        let gone = whole.len() - rest.len();
        let at = whole.iter().position(|step| matches!(step, Step::Node { link, .. } if *link == skip)).unwrap();
        prop_assert_eq!([&whole[..at], &whole[at + gone..]].concat(), rest);
    }
}

#[test]
fn a_walk_gives_each_node_before_what_is_in_it_and_keys_in_order() {
    let (root, blocks) = slow_build(&KEYS.iter().map(|key| (key.clone(), cid(1))).collect());
    let steps: Vec<Step> = walk(&blocks, by_cid(root), |_| true).collect::<Result<_, _>>().unwrap();
    assert!(matches!(&steps[0], Step::Node { link, .. } if link.cid == root));
    let mut known = BTreeSet::from([root]);
    for step in &steps {
        if let Step::Node { link, block } = step {
            assert!(known.contains(&link.cid), "a node comes after the one that links to it");
            collect_links(&cbor::decode(block).unwrap(), &mut known);
        }
    }
    assert_eq!(steps.len(), blocks.len() + KEYS.len());
}

fn collect_links(value: &Value, into: &mut BTreeSet<Cid>) {
    match value {
        Value::Link(cid) => drop(into.insert(*cid)),
        Value::List(list) => list.iter().for_each(|item| collect_links(item, into)),
        Value::Map(map) => map.iter().for_each(|(_, item)| collect_links(item, into)),
        _ => {}
    }
}

#[test]
fn a_small_difference_of_large_trees_is_found_on_few_nodes() {
    let keys: Vec<String> = (0..5_000u64).map(|n| format!("com.example.post/{:013}", n * 7)).collect();
    let kept = Kept::of(keys.iter().map(|key| (key.clone(), cid(0))).collect());
    for n in (1..5_000u64).step_by(211) {
        for edit in [0, 1, 2] {
            let mut tree = Mst::open(&kept.store, kept.root);
            match edit {
                0 => tree.insert(&format!("com.example.post/{:013}", n * 7 - 3), cid(1)).unwrap(),
                1 => drop(tree.update(&keys[usize::try_from(n).unwrap()], cid(1)).unwrap()),
                _ => drop(tree.delete(&keys[usize::try_from(n).unwrap()]).unwrap()),
            }
            let change = tree.finish(kept.next_place).unwrap();
            let new = Kept::of(kept.model.clone());
            let mut new = Kept { root: kept.root, next_place: kept.next_place, ..new };
            *new.store.nodes.get_mut() = kept.store.nodes.borrow().clone();
            new.keep(&change);
            kept.store.loads.set(0);
            new.store.loads.set(0);
            let found = diff((&kept.store, kept.root), (&new.store, new.root)).unwrap();
            assert_eq!(found.len(), 1);
            let loads = kept.store.loads.get() + new.store.loads.get();
            assert!(loads <= 60, "{loads} nodes of {}", kept.store.nodes.borrow().len());
        }
    }
}
