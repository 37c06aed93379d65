//! Nodes as bytes, and the layer of a key.

use super::node::{Child, Entry, Node};
use super::{Link, NodeFault, Place, StoredNode};
use crate::data::Cid;
use crate::data::cbor::{Reader, Writer};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The longest key: a collection of 317 characters, a slash and a record key of 512 stay below it.
pub const MAX_KEY_LEN: usize = 1024;

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

/// True for `collection/rkey` in the characters that paths are made of.
pub(super) fn is_path(key: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:~".contains(&byte))
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

/// Reads a node strictly: everything that can be said of it without its subtrees. `layer` is where it must belong; the top
/// node's follows from its keys.
pub(super) fn decode(link: Link, stored: StoredNode, layer: Option<u8>) -> Result<Node, NodeFault> {
    let parsed = parse(&stored.block)?;
    let layer = match (layer, parsed.entries.first()) {
        (Some(layer), _) => layer,
        (None, Some((key, ..))) => key_layer(key),
        (None, None) if parsed.left.is_none() => 0,
        (None, None) => return Err(NodeFault::Empty),
    };
    let mut places = Places::new(&stored.children);
    let left = parsed.left.map(|cid| places.child(cid)).transpose()?;
    let mut entries = Vec::with_capacity(parsed.entries.len());
    for (at, (key, value, subtree)) in parsed.entries.into_iter().enumerate() {
        if key_layer(&key) != layer {
            return Err(NodeFault::Layer(at));
        }
        let right = subtree.map(|cid| places.child(cid)).transpose()?;
        entries.push(Entry { key, value, right });
    }
    places.finish()?;
    let node = Node { layer, stored: Some((link, stored)), dirty: false, left, entries };
    if layer == 0 && node.children().next().is_some() {
        return Err(NodeFault::Depth);
    }
    Ok(node)
}

struct Parsed {
    left: Option<Cid>,
    entries: Vec<(Box<str>, Cid, Option<Cid>)>,
}

fn parse(block: &Bytes) -> Result<Parsed, NodeFault> {
    let mut reader = Reader::new(block);
    let members = reader.map()?;
    reader.expect_key("e")?;
    let count = reader.array()?;
    let mut entries: Vec<(Box<str>, Cid, Option<Cid>)> = Vec::new();
    for at in 0..count {
        if reader.map()? != 4 {
            return Err(NodeFault::Members);
        }
        reader.expect_key("k")?;
        let rest = reader.bytes()?;
        reader.expect_key("p")?;
        let shared = usize::try_from(reader.uint()?).map_err(|_| NodeFault::Prefix(at))?;
        reader.expect_key("t")?;
        let subtree = reader.link_or_null()?;
        reader.expect_key("v")?;
        let value = reader.link()?;
        let before = entries.last().map_or("", |(key, ..)| key);
        let key = join(before, shared, rest, at)?;
        entries.push((key.into(), value, subtree));
    }
    reader.expect_key("l")?;
    let left = reader.link_or_null()?;
    reader.finish()?;
    if members != 2 {
        return Err(NodeFault::Members);
    }
    Ok(Parsed { left, entries })
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

/// Hands out the places of subtrees in order; none at all where only CIDs are known.
struct Places<'a> {
    rest: std::slice::Iter<'a, Place>,
    known: bool,
}

impl<'a> Places<'a> {
    fn new(places: &'a [Place]) -> Self {
        Self { rest: places.iter(), known: !places.is_empty() }
    }

    fn child(&mut self, cid: Cid) -> Result<Child, NodeFault> {
        let place = match self.rest.next() {
            Some(place) => *place,
            None if self.known => return Err(NodeFault::Places),
            None => Place(0),
        };
        Ok(Child::from(Link { cid, place }))
    }

    fn finish(mut self) -> Result<(), NodeFault> {
        if self.rest.next().is_none() { Ok(()) } else { Err(NodeFault::Places) }
    }
}
