use super::*;
use std::collections::BTreeMap;

fn cid(n: u64) -> Cid {
    Cid::dag_cbor(&n.to_be_bytes())
}

#[test]
fn the_empty_tree_has_its_well_known_root() {
    let mut tree = Mst::empty(BlockMap::default());
    assert_eq!(
        tree.root_cid().unwrap().to_string(),
        "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"
    );
}

#[test]
fn what_is_inserted_is_found_until_it_is_deleted() {
    let mut tree = Mst::empty(BlockMap::default());
    let empty = tree.root_cid().unwrap();
    let mut model = BTreeMap::new();
    for n in 0..300 {
        let key = format!("com.example.thing/{:05}", n * 7919 % 300);
        tree.insert(&key, cid(n)).unwrap();
        model.insert(key, cid(n));
    }
    for (key, value) in &model {
        assert_eq!(tree.get(key).unwrap(), Some(*value));
        assert!(matches!(tree.insert(key, *value), Err(MstError::Exists(_))));
    }
    for (key, value) in &model {
        assert_eq!(tree.delete(key).unwrap(), *value);
        assert_eq!(tree.get(key).unwrap(), None);
    }
    assert_eq!(tree.root_cid().unwrap(), empty);
}
