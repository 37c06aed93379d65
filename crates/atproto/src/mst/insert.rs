//! Adding a key: the subtree that spans it is split.

use super::encoding::is_path;
use super::node::{Child, Entry, Node};
use super::{Mst, MstError, NodeSource, key_layer};
use crate::data::Cid;

impl<S: NodeSource> Mst<S> {
    /// Adds a key that is not there yet.
    pub fn insert(&mut self, key: &str, value: Cid) -> Result<(), MstError<S::Error>> {
        if !is_path(key) {
            return Err(MstError::Key(key.to_owned()));
        }
        if self.get(key)?.is_some() {
            return Err(MstError::Exists(key.to_owned()));
        }
        let layer = key_layer(key);
        let top = self.root.open(&self.source, None)?;
        if top.is_empty() {
            top.layer = layer;
        }
        if layer > top.layer {
            let below = top.layer;
            let old = std::mem::replace(top, Node::new(layer));
            let (left, right) = split(&self.source, Child::from(old), below, key)?;
            top.left = left.map(|child| raise(child, below, layer));
            let right = right.map(|child| raise(child, below, layer));
            top.entries.push(Entry { key: key.into(), value, right });
            return Ok(());
        }
        insert_below(&self.source, top, key, layer, value)
    }
}

/// Adds the key to a tree whose top is at or above the key's layer.
fn insert_below<S: NodeSource>(
    source: &S,
    mut node: &mut Node,
    key: &str,
    layer: u8,
    value: Cid,
) -> Result<(), MstError<S::Error>> {
    loop {
        node.touch();
        let (Ok(at) | Err(at)) = node.find(key);
        let below = node.layer.saturating_sub(1);
        if node.layer == layer {
            let right = match node.slot(at).take() {
                Some(child) => {
                    let (left, right) = split(source, child, below, key)?;
                    *node.slot(at) = left;
                    right
                }
                None => None,
            };
            node.entries.insert(at, Entry { key: key.into(), value, right });
            return Ok(());
        }
        let slot = node.slot(at);
        if slot.is_none() {
            let mut leaf = Node::new(layer);
            leaf.entries.push(Entry { key: key.into(), value, right: None });
            *slot = Some(raise(Child::from(leaf), layer, below + 1));
            return Ok(());
        }
        let Some(child) = slot else { return Ok(()) };
        node = child.open(source, Some(below))?;
    }
}

/// Puts nodes without entries over a subtree whose top is at `from`, so that a node of layer `to` can link to it.
fn raise(mut child: Child, from: u8, to: u8) -> Child {
    for layer in from.saturating_add(1)..to {
        let mut node = Node::new(layer);
        node.left = Some(child);
        child = Child::from(node);
    }
    child
}

/// What is left of a subtree on both sides of a key.
type Halves = (Option<Child>, Option<Child>);

/// Splits a subtree, whose top is at `layer`, into what is before a key and what is after it. The half with more entries keeps
/// the stored node's place.
fn split<S: NodeSource>(
    source: &S,
    child: Child,
    layer: u8,
    key: &str,
) -> Result<Halves, MstError<S::Error>> {
    let mut left = child.into_node(source, Some(layer))?;
    left.touch();
    let (Ok(at) | Err(at)) = left.find(key);
    let mut right = Node::new(layer);
    if let Some(middle) = left.slot(at).take() {
        let (before, after) = split(source, middle, layer.saturating_sub(1), key)?;
        *left.slot(at) = before;
        right.left = after;
    }
    right.entries = left.entries.split_off(at);
    if left.is_empty() || (!right.is_empty() && right.entries.len() > left.entries.len()) {
        right.stored = left.stored.take();
    }
    let keep = |node: Node| if node.is_empty() { None } else { Some(Child::from(node)) };
    Ok((keep(left), keep(right)))
}
