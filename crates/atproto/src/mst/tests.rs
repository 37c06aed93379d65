mod against_a_model;

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

#[test]
fn common_prefixes_are_as_published() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/vectors/atproto-interop/mst/common_prefix.json"
    );
    let Ok(text) = std::fs::read_to_string(path) else { return eprintln!("skipped: no {path}") };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let (left, right) = (case["left"].as_str().unwrap(), case["right"].as_str().unwrap());
        assert_eq!(encoding::common_prefix(left, right) as u64, case["len"].as_u64().unwrap(), "{case}");
    }
}

/// Encodes a node by hand: entries of (shared, rest, subtree), and the subtree before them.
fn node(entries: &[(u64, &str, Option<Cid>)], left: Option<Cid>) -> bytes::Bytes {
    let mut out = crate::data::cbor::Writer::new();
    out.map(2);
    out.text("e");
    out.array(entries.len());
    for (shared, rest, subtree) in entries {
        out.map(4);
        out.text("k");
        out.bytes(rest.as_bytes());
        out.text("p");
        out.uint(*shared);
        out.text("t");
        out.link_or_null(subtree.as_ref());
        out.text("v");
        out.link(&cid(1));
    }
    out.text("l");
    out.link_or_null(left.as_ref());
    out.into_bytes().into()
}

/// What walking the tree with this top node and these blocks says.
fn fault_of(top: bytes::Bytes, others: &[bytes::Bytes]) -> String {
    let root = Cid::dag_cbor(&top);
    let blocks: BlockMap =
        others.iter().chain([&top]).map(|block| (Cid::dag_cbor(block), block.clone())).collect();
    let failed = walk(&blocks, Link::to_cid(root), |_| true).find_map(Result::err);
    failed.map_or_else(String::new, |error| error.to_string())
}

/// The first key of a layer with this prefix.
fn key_of(layer: u8, prefix: &str) -> String {
    (0..).map(|n| format!("{prefix}{n:05}")).find(|key| key_layer(key) == layer).unwrap()
}

#[test]
fn nodes_that_no_canonical_tree_has_are_refused() {
    let (a, b) = (key_of(0, "com.example.a/"), key_of(0, "com.example.b/"));
    let one = key_of(1, "com.example.c/");
    let shared = encoding::common_prefix(&a, &b);
    let good = node(&[(0, &a, None), (shared as u64, b.split_at(shared).1, None)], None);
    assert_eq!(fault_of(good.clone(), &[]), "");
    let leaf = node(&[(0, &a, None)], None);
    let leaf_cid = Cid::dag_cbor(&leaf);
    let hollow = node(&[], None);
    let hollow_cid = Cid::dag_cbor(&hollow);
    for (what, top, others) in [
        ("compressed", node(&[(0, &a, None), (0, &b, None)], None), vec![]),
        ("compressed", node(&[(0, &a, None), (200, "x", None)], None), vec![]),
        ("order", node(&[(0, &b, None), (shared as u64, a.split_at(shared).1, None)], None), vec![]),
        ("order", node(&[(0, &a, None), (a.len() as u64, "", None)], None), vec![]),
        ("layer", node(&[(0, &a, None), (12, one.split_at(12).1, None)], None), vec![]),
        ("record path", node(&[(0, "nothing", None)], None), vec![]),
        ("record path", node(&[(0, &format!("a/{}", "x".repeat(1100)), None)], None), vec![]),
        ("layer 0", node(&[(0, &a, Some(leaf_cid))], None), vec![leaf.clone()]),
        ("without entries", node(&[], Some(leaf_cid)), vec![leaf.clone()]),
        ("without entries", node(&[(0, &one, None)], Some(hollow_cid)), vec![hollow]),
        ("missing", node(&[(0, &one, None)], Some(leaf_cid)), vec![]),
        (
            "layer",
            node(&[(0, &one, None)], Some(Cid::dag_cbor(&node(&[(0, &one, None)], None)))),
            vec![node(&[(0, &one, None)], None)],
        ),
        ("order", node(&[(0, &one, Some(leaf_cid))], None), vec![leaf]),
    ] {
        let fault = fault_of(top, &others);
        assert!(fault.contains(what), "{what}: {fault}");
    }
}
