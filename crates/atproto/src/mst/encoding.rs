//! Nodes as bytes, and the layer of a key.

use super::node::{Child, Entry, Node, Spot};
use super::{Link, NodeFault, Place, StoredNode};
use crate::data::cbor::{Reader, Writer};
use crate::data::{Cid, Codec};
use sha2::{Digest, Sha256};

/// The longest key: a collection of 317 characters, a slash and a record key of 512 stay below it.
pub const MAX_KEY_LEN: usize = 1024;

/// The most keys of one node. A node of ordinary keys has 4, and one in 10^12 has 100; more than this is made by choosing
/// keys for their hashes, and would make each write as costly as the node is large (repository spec, "Security
/// Considerations"). The longest keys still give a block below 2 MB.
pub const MAX_NODE_KEYS: usize = 1000;

/// The layer of a key: leading zero bits of its SHA-256, counted in pairs.
pub fn key_layer(key: &str) -> u8 {
    let hash = Sha256::digest(key.as_bytes());
    let mut layer = 0;
    for byte in hash {
        if byte != 0 {
            let [pairs, ..] = (byte.leading_zeros() / 2).to_le_bytes();
            return layer + pairs;
        }
        layer += 4;
    }
    layer
}

/// True for `collection/rkey` in the characters that paths are made of (repository spec, "Repository Paths"). Whether they
/// are a collection and a record key is for the layer above to say.
pub(super) fn is_path(key: &str) -> bool {
    let part = |text: &str| {
        !matches!(text, "" | "." | "..")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:~".contains(&byte))
    };
    key.len() <= MAX_KEY_LEN
        && key.split_once('/').is_some_and(|(collection, rkey)| part(collection) && part(rkey))
}

/// The bytes that two keys start with in common.
pub(super) fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// Encodes a node whose subtrees have these CIDs, in tree order with `None` where there is no subtree: one more than entries.
pub(super) fn encode(entries: &[Entry], subtrees: &[Option<Cid>]) -> Vec<u8> {
    let mut out = Writer::with_capacity(64 + entries.len() * 112);
    out.map(2);
    out.text("e");
    out.array(entries.len());
    let mut before = "";
    for (entry, subtree) in entries.iter().zip(subtrees.iter().skip(1)) {
        let shared = common_prefix(before, &entry.key);
        out.map(4);
        out.text("k");
        out.bytes(entry.key.as_bytes().get(shared..).unwrap_or_default());
        out.text("p");
        out.uint(shared as u64);
        out.text("t");
        out.link_or_null(subtree.as_ref());
        out.text("v");
        out.link(&entry.value);
        before = &entry.key;
    }
    out.text("l");
    out.link_or_null(subtrees.first().and_then(Option::as_ref));
    out.into_bytes()
}

/// Reads a node strictly: everything that can be said of it at its spot without its subtrees.
pub(super) fn decode(link: Link, stored: StoredNode, spot: Spot<'_>) -> Result<Node, NodeFault> {
    if link.cid.codec() != Codec::DagCbor {
        return Err(NodeFault::Codec);
    }
    let mut node = parse(&stored.block)?;
    let top = spot.layer.is_none();
    node.layer = match (spot.layer, node.entries.first()) {
        (Some(layer), _) => layer,
        (None, Some(first)) => key_layer(&first.key),
        (None, None) => 0,
    };
    if node.entries.is_empty() && top != node.left.is_none() {
        return Err(NodeFault::Empty);
    }
    if let Some(at) = node.entries.iter().position(|entry| key_layer(&entry.key) != node.layer) {
        return Err(NodeFault::Layer(at));
    }
    let first = node.entries.first().map(|entry| &*entry.key);
    let last = node.entries.last().map(|entry| &*entry.key);
    if first.zip(spot.after).is_some_and(|(first, after)| first <= after)
        || last.zip(spot.before).is_some_and(|(last, before)| last >= before)
    {
        return Err(NodeFault::Bounds);
    }
    if node.layer == 0 && node.slots().flatten().next().is_some() {
        return Err(NodeFault::Depth);
    }
    set_places(&mut node, &stored.children)?;
    node.stored = Some((link, stored));
    node.dirty = false;
    Ok(node)
}

/// What the block itself says. Its subtrees have no places yet and it has no layer.
fn parse(block: &[u8]) -> Result<Node, NodeFault> {
    let mut node = Node::new(0);
    let mut reader = Reader::new(block);
    let members = reader.map()?;
    reader.expect_key("e")?;
    let count = reader.array()?;
    if count > MAX_NODE_KEYS {
        return Err(NodeFault::TooManyKeys);
    }
    node.entries.reserve(count);
    for at in 0..count {
        if reader.map()? != 4 {
            return Err(NodeFault::Members);
        }
        reader.expect_key("k")?;
        let rest = reader.bytes()?;
        reader.expect_key("p")?;
        let shared = usize::try_from(reader.uint()?).map_err(|_| NodeFault::Prefix(at))?;
        reader.expect_key("t")?;
        let right = subtree(&mut reader)?;
        reader.expect_key("v")?;
        let value = reader.link()?;
        let before = node.entries.last().map_or("", |entry| &entry.key);
        let key = join(before, shared, rest, at)?.into();
        node.entries.push(Entry { key, value, right });
    }
    reader.expect_key("l")?;
    node.left = subtree(&mut reader)?;
    reader.finish()?;
    if members == 2 { Ok(node) } else { Err(NodeFault::Members) }
}

fn subtree(reader: &mut Reader<'_>) -> Result<Option<Child>, NodeFault> {
    let cid = reader.link_or_null()?;
    if cid.is_some_and(|cid| cid.codec() != Codec::DagCbor) {
        return Err(NodeFault::Codec);
    }
    Ok(cid.map(|cid| Child::from(Link::to_cid(cid))))
}

/// The key of entry `at` from what it shares with the one before and the rest.
fn join(before: &str, shared: usize, rest: &[u8], at: usize) -> Result<String, NodeFault> {
    let rest = std::str::from_utf8(rest).map_err(|_| NodeFault::Key(at))?;
    let key = [before.get(..shared).ok_or(NodeFault::Prefix(at))?, rest].concat();
    if !is_path(&key) {
        return Err(NodeFault::Key(at));
    }
    if common_prefix(before, &key) != shared {
        return Err(NodeFault::Prefix(at));
    }
    if before >= key.as_str() {
        return Err(NodeFault::Order(at));
    }
    Ok(key)
}

/// Gives the subtrees their places; none at all are known where only CIDs are.
fn set_places(node: &mut Node, places: &[Place]) -> Result<(), NodeFault> {
    if places.is_empty() {
        return Ok(());
    }
    let mut places = places.iter();
    for child in node.slots_mut().flatten() {
        let known = places.next().ok_or(NodeFault::Places)?;
        if let Child::Stub(Link { place, .. }) = child {
            *place = *known;
        }
    }
    if places.next().is_none() { Ok(()) } else { Err(NodeFault::Places) }
}
