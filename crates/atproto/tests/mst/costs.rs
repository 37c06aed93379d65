//! What reads and writes of a large tree load and produce, counted in nodes.

use super::store::Store;
use super::{Model, value};
use rookery_atproto::mst::{Difference, Mst, diff, key_layer, range};
use std::sync::LazyLock;

/// A tree of 20,000 keys.
static LARGE: LazyLock<Store> = LazyLock::new(|| {
    let model: Model = (0..20_000u32).map(|n| (path(n), value(1))).collect();
    Store::new(&model)
});

/// Nodes on the longest path from the top of the large tree to a leaf.
const HEIGHT: usize = 8;

fn path(n: u32) -> String {
    format!("com.example.note/{:010}", n.wrapping_mul(2_654_435_761))
}

/// A path that is not in the tree yet.
fn fresh(n: u32) -> String {
    format!("{}x", path(n * 97))
}

#[test]
fn a_write_loads_two_paths_at_most() {
    let mut store = LARGE.clone();
    for n in 1..30 {
        for (what, most) in [("insert", 2 * HEIGHT), ("update", HEIGHT), ("delete", 2 * HEIGHT)] {
            let change = {
                let mut tree = store.open();
                match what {
                    "insert" => tree.insert(&fresh(n), value(2)).unwrap(),
                    "update" => drop(tree.update(&path(n * 89), value(3)).unwrap()),
                    _ => drop(tree.delete(&path(n * 97)).unwrap()),
                }
                tree.finish(store.next_place).unwrap()
            };
            let loads = store.loads();
            assert!(loads <= most, "{what}: {loads} loads");
            assert!(change.written.len() <= most, "{what}: {} written", change.written.len());
            store.take(&change);
            store.loads();
        }
    }
}

#[test]
fn a_proof_has_the_paths_to_a_key_and_its_neighbours() {
    let store = LARGE.clone();
    for n in 0..100 {
        let mut tree = store.open();
        tree.insert(&fresh(n), value(2)).unwrap();
        tree.finish(store.next_place).unwrap();
        let proof = tree.proof([fresh(n).as_str()].into_iter()).unwrap();
        assert!(proof.len() <= 2 * HEIGHT, "{} nodes", proof.len());
        assert!(tree.path(&fresh(n)).unwrap().len() <= HEIGHT);
    }
}

#[test]
fn a_read_of_one_key_loads_one_path() {
    let store = LARGE.clone();
    for n in 0..100 {
        assert!(store.open().get(&path(n * 89)).unwrap().is_some());
        assert!(store.loads() <= HEIGHT);
        assert!(store.open().get(&fresh(n)).unwrap().is_none());
        assert!(store.loads() <= HEIGHT);
    }
}

#[test]
fn a_page_of_a_range_loads_little_more_than_its_keys_need() {
    let store = LARGE.clone();
    for (n, reverse) in (0..50).zip([false, true].into_iter().cycle()) {
        for start in [path(n * 89), fresh(n)] {
            assert_eq!(range(&store, store.root, Some(&start), reverse).take(50).count(), 50);
            let loads = store.loads();
            assert!(loads <= 3 * HEIGHT + 25, "{loads} loads");
        }
    }
}

#[test]
fn a_difference_of_one_key_loads_one_path_on_each_side() {
    let old = LARGE.clone();
    for n in 0..20 {
        let mut new = old.clone();
        let change = {
            let mut tree: Mst<&Store> = old.open();
            tree.update(&path(n * 89), value(2)).unwrap();
            tree.finish(old.next_place).unwrap()
        };
        new.take(&change);
        old.loads();
        new.loads();
        let found = diff((&old, old.root), (&new, new.root)).unwrap();
        assert_eq!(found, [Difference { key: path(n * 89), old: Some(value(1)), new: Some(value(2)) }]);
        let loads = (old.loads(), new.loads());
        assert!(loads.0 <= HEIGHT && loads.1 <= HEIGHT, "{loads:?}");
    }
}

#[test]
fn a_difference_of_trees_of_other_heights_loads_two_paths_on_each_side() {
    let old = LARGE.clone();
    let top = (0..20_000).map(|n| key_layer(&path(n))).max().unwrap();
    let taller = (0..).map(|n| format!("com.example.note/{n}")).find(|key| key_layer(key) > top).unwrap();
    let mut new = old.clone();
    let change = {
        let mut tree = old.open();
        tree.insert(&taller, value(2)).unwrap();
        tree.finish(old.next_place).unwrap()
    };
    new.take(&change);
    for (from, to) in [(&old, &new), (&new, &old)] {
        from.loads();
        to.loads();
        assert_eq!(diff((from, from.root), (to, to.root)).unwrap().len(), 1);
        let loads = (from.loads(), to.loads());
        assert!(loads.0 <= 3 * HEIGHT && loads.1 <= 3 * HEIGHT, "{loads:?}");
    }
}
