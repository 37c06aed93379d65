//! The tree of a sorted map built the plain way, layer by layer, with another encoder.

use super::Model;
use ipld_core::ipld::Ipld;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A key and its value.
pub(crate) type Leaf = (String, Cid);

/// The root and the blocks of the tree that holds a model.
pub(crate) fn tree_of(model: &Model) -> (Link, BlockMap) {
    let leaves: Vec<Leaf> = model.clone().into_iter().collect();
    tree_of_leaves(&leaves)
}

/// The same of leaves that are taken as they come, sorted or not: a way to trees that are wrong in nothing but order.
pub(crate) fn tree_of_leaves(leaves: &[Leaf]) -> (Link, BlockMap) {
    let top = leaves.iter().map(|(key, _)| layer_of(key)).max().unwrap_or(0);
    let mut blocks = BlockMap::default();
    let root = build(leaves, top, &mut blocks);
    (Link::to_cid(root), blocks)
}

/// Zero bits at the start of the hash, in pairs.
fn layer_of(key: &str) -> usize {
    let bits: String = Sha256::digest(key).iter().map(|byte| format!("{byte:08b}")).collect();
    bits.find('1').unwrap_or(bits.len()) / 2
}

/// Puts the keys of a layer into a node, and what is between them into nodes a layer below.
fn build(leaves: &[Leaf], layer: usize, blocks: &mut BlockMap) -> Cid {
    let mut subtree = |between: &[Leaf]| match between {
        [] => Ipld::Null,
        _ => link(build(between, layer - 1, blocks)),
    };
    let here: Vec<usize> = (0..leaves.len()).filter(|at| layer_of(&leaves[*at].0) == layer).collect();
    let left = subtree(&leaves[..here.first().copied().unwrap_or(leaves.len())]);
    let mut entries = Vec::new();
    let mut before = "";
    for (n, at) in here.iter().enumerate() {
        let (key, value) = &leaves[*at];
        let end = here.get(n + 1).copied().unwrap_or(leaves.len());
        let shared =
            (0..=before.len().min(key.len())).rev().find(|len| before[..*len] == key[..*len]).unwrap();
        entries.push(map([
            ("p", Ipld::Integer(shared as i128)),
            ("k", Ipld::Bytes(key.as_bytes()[shared..].to_vec())),
            ("v", link(*value)),
            ("t", subtree(&leaves[at + 1..end])),
        ]));
        before = key;
    }
    let block = serde_ipld_dagcbor::to_vec(&map([("l", left), ("e", Ipld::List(entries))])).unwrap();
    let cid = Cid::dag_cbor(&block);
    blocks.insert(cid, block.into());
    cid
}

fn map<const N: usize>(members: [(&str, Ipld); N]) -> Ipld {
    Ipld::Map(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>())
}

fn link(cid: Cid) -> Ipld {
    Ipld::Link(cid.as_bytes().as_slice().try_into().unwrap())
}
