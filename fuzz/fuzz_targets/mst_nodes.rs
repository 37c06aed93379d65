//! MST nodes from strangers: what is accepted is canonical, and nothing that is done with a tree panics or goes on for ever.
//!
//! With an even first byte, the rest is one node as it is. With an odd one, the rest says how to build a tree of nodes that
//! refer to each other, right or wrong in any way but their hashes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_atproto::data::Cid;
use rookery_atproto::data::cbor::Writer;
use rookery_atproto::mst::{
    BlockMap, Link, Mst, MstError, Place, Step, decode_places, diff, encode_places, range, walk,
};
use rookery_fuzz::Choices;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Nodes built from one input.
const NODES: usize = 24;
/// Steps of a walk over them, which may come to each by many ways.
const STEPS: usize = 20_000;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let Some(kind) = choices.byte() else { return };
    let mut blocks = BlockMap::default();
    let mut root = None;
    if kind % 2 == 0 {
        let block = choices.take(usize::MAX);
        root = Some(add(&mut blocks, block.to_vec()));
        if let Ok(places) = decode_places(block) {
            assert_eq!(decode_places(&encode_places(&places)).as_ref(), Ok(&places));
        }
    } else {
        let mut made = Vec::new();
        while made.len() < NODES
            && let Some(block) = node(&mut choices, &made)
        {
            made.push(add(&mut blocks, block));
            root = made.last().copied();
        }
    }
    if let Some(root) = root {
        check(root, &blocks);
    }
});

fn add(blocks: &mut BlockMap, block: Vec<u8>) -> Cid {
    let cid = Cid::dag_cbor(&block);
    blocks.insert(cid, block.into());
    cid
}

/// A node: its left subtree, and entries, each of which shares some of the key before.
fn node(choices: &mut Choices<'_>, made: &[Cid]) -> Option<Vec<u8>> {
    let count = choices.below(6)?;
    let left = subtree(choices, made);
    let mut out = Writer::new();
    out.map(2);
    out.text("e");
    out.array(count);
    let mut before = String::new();
    for _ in 0..count {
        let key = key(choices);
        let shared = before.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
        // Now and then something else than what is right.
        let told = if choices.below(32) == Some(1) { choices.below(40).unwrap_or(0) } else { shared };
        out.map(4);
        out.text("k");
        out.bytes(key.as_bytes().get(told..).unwrap_or_default());
        out.text("p");
        out.uint(told as u64);
        out.text("t");
        out.link_or_null(subtree(choices, made).as_ref());
        out.text("v");
        out.link(&Cid::dag_cbor(key.as_bytes()));
        before = key;
    }
    out.text("l");
    out.link_or_null(left.as_ref());
    Some(out.into_bytes())
}

fn key(choices: &mut Choices<'_>) -> String {
    format!("com.example.a/{}", choices.byte().unwrap_or_default())
}

fn subtree(choices: &mut Choices<'_>, made: &[Cid]) -> Option<Cid> {
    let at = choices.byte().unwrap_or_default();
    made.iter().rev().nth(usize::from(at % 8)).copied().filter(|_| at < 128)
}

/// Everything that can be done with a tree.
fn check(root: Cid, blocks: &BlockMap) {
    let root = Link::to_cid(root);
    if let Ok(leaves) = accepted(root, blocks) {
        let mut tree = Mst::empty(BlockMap::default());
        for (key, value) in &leaves {
            tree.insert(key, *value).expect("a key of a tree");
        }
        assert_eq!(tree.root_cid().expect("in memory"), root.cid, "there is one tree of these records");
    }
    for key in ["com.example.a/7", "com.example.a/200"] {
        let open = || Mst::open(blocks, root);
        let _ = open().get(key);
        let _ = open().path(key);
        let mut tree = open();
        let _ = tree.delete(key);
        let _ = tree.finish(Place(1));
        let mut tree = open();
        if tree.insert(key, root.cid).is_ok() {
            assert_eq!(tree.get(key).ok().flatten(), Some(root.cid));
            let _ = tree.proof([key].into_iter());
            let _ = tree.finish(Place(1));
        }
        for reverse in [false, true] {
            let _ = range(blocks, root, Some(key), reverse).take(STEPS).count();
        }
    }
    let empty = Mst::empty(BlockMap::default()).root_cid().expect("in memory");
    let mut with_empty = blocks.clone();
    with_empty.insert(empty, EMPTY.into());
    let _ = diff((&with_empty, root), (&with_empty, Link::to_cid(empty)));
}

/// `{"e": [], "l": null}`
const EMPTY: &[u8] = b"\xa2ae\x80al\xf6";

/// The records of a tree that is right everywhere.
fn accepted(root: Link, blocks: &BlockMap) -> Result<BTreeMap<String, Cid>, MstError<Infallible>> {
    let mut leaves = BTreeMap::new();
    for (steps, step) in walk(blocks, root, |_| true).enumerate() {
        assert!(steps < STEPS, "a walk without end");
        if let Step::Leaf { key, value } = step? {
            assert!(leaves.last_key_value().is_none_or(|(last, _)| *last < key), "{key} is out of order");
            leaves.insert(key, value);
        }
    }
    Ok(leaves)
}
