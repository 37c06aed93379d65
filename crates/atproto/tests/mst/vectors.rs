//! The published vectors of the tree: `mst/key_heights.json`, `mst/example_keys.txt`,
//! `firehose/commit-proof-fixtures.json`.

use super::reference::tree_of;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Mst, Place, key_layer};
use rookery_atproto::repo::{RepoOp, invert};
use serde_json::Value;

fn vector(path: &str) -> Option<String> {
    let whole = format!("{}/../../../shared/vectors/atproto-interop/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&whole).ok();
    if text.is_none() {
        eprintln!("skipped: no {whole}");
    }
    text
}

fn json(path: &str) -> Vec<Value> {
    vector(path).map_or_else(Vec::new, |text| serde_json::from_str(&text).unwrap())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_have_their_published_heights() {
    for case in json("mst/key_heights.json") {
        assert_eq!(
            u64::from(key_layer(case["key"].as_str().unwrap())),
            case["height"].as_u64().unwrap(),
            "{case}"
        );
    }
    for key in vector("mst/example_keys.txt").unwrap_or_default().lines().filter(|line| line.contains('/')) {
        let height: u8 = key.get(1..2).unwrap().parse().unwrap();
        assert_eq!(key_layer(key), height, "{key}");
    }
}

#[test]
fn the_example_keys_give_one_root_in_any_order() {
    let text = vector("mst/example_keys.txt").unwrap_or_default();
    let keys: Vec<&str> = text.lines().filter(|line| line.contains('/')).collect();
    let build = |keys: &[&str]| {
        let mut tree = Mst::empty(BlockMap::default());
        for key in keys {
            tree.insert(key, Cid::raw(key.as_bytes())).unwrap();
        }
        tree.root_cid().unwrap()
    };
    let forwards = build(&keys);
    let mut others = keys.clone();
    others.reverse();
    assert_eq!(build(&others), forwards);
    others.sort_by_key(|key| Cid::raw(key.as_bytes()));
    assert_eq!(build(&others), forwards);
    let model = keys.iter().map(|key| ((*key).to_owned(), Cid::raw(key.as_bytes()))).collect();
    assert_eq!(forwards, tree_of(&model).0.cid);
}

#[test]
fn commit_proofs_have_the_published_roots_and_blocks() {
    for case in json("firehose/commit-proof-fixtures.json") {
        let comment = case["comment"].as_str().unwrap();
        let value: Cid = case["leafValue"].as_str().unwrap().parse().unwrap();
        let mut tree = Mst::empty(BlockMap::default());
        for key in texts(&case["keys"]) {
            tree.insert(&key, value).unwrap();
        }
        let before = tree.finish(Place(1)).unwrap();
        assert_eq!(before.root.cid.to_string(), case["rootBeforeCommit"], "{comment}");

        let (adds, dels) = (texts(&case["adds"]), texts(&case["dels"]));
        let mut ops = Vec::new();
        for key in &adds {
            tree.insert(key, value).unwrap();
            ops.push(RepoOp { path: key.clone(), cid: Some(value), prev: None });
        }
        for key in &dels {
            tree.delete(key).unwrap();
            ops.push(RepoOp { path: key.clone(), cid: None, prev: Some(value) });
        }
        let after = tree.finish(before.next_place).unwrap();
        assert_eq!(after.root.cid.to_string(), case["rootAfterCommit"], "{comment}");

        let proof: BlockMap =
            tree.proof(ops.iter().map(|op| op.path.as_str())).unwrap().into_iter().collect();
        for block in texts(&case["blocksInProof"]) {
            assert!(proof.contains_key(&block.parse().unwrap()), "{comment}: {block} is not in the proof");
        }
        assert_eq!(invert(&ops, after.root.cid, &proof).unwrap(), before.root.cid, "{comment}");
        ops.reverse();
        assert_eq!(invert(&ops, after.root.cid, &proof).unwrap(), before.root.cid, "{comment}, forwards");
    }
}
