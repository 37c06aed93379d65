//! Adding a key: the subtree that spans it is split.

use super::encoding::is_path;
use super::node::{Child, Entry, Node, Spot};
use super::{Mst, MstError, NodeSource, key_layer, locate};
use crate::data::Cid;

impl<S: NodeSource> Mst<S> {
    /// Adds a key that is not there yet.
    pub fn insert(&mut self, key: &str, value: Cid) -> Result<(), MstError<S::Error>> {
        if !is_path(key) {
            return Err(MstError::Key(key.to_owned()));
        }
        // Down to the bottom, so that every node that is split is loaded.
        if locate(&self.source, &mut self.root, key, 0)?.is_some() {
            return Err(MstError::Exists(key.to_owned()));
        }
        let layer = key_layer(key);
        let top = self.root.open(&self.source, Spot::TOP)?;
        if top.is_empty() {
            top.layer = layer;
        }
        if layer <= top.layer {
            return insert_below(&self.source, top, key, layer, value);
        }
        let old = std::mem::replace(top, Node::new(layer));
        let below = old.layer;
        let (left, right) = split(old, key)?;
        top.left = left.map(|child| raise(child, below, layer));
        let right = right.map(|child| raise(child, below, layer));
        top.entries.push(Entry { key: key.into(), value, right });
        Ok(())
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
    let mut spot = Spot::TOP;
    loop {
        node.touch();
        let (Ok(at) | Err(at)) = node.find(key);
        let above = node.layer;
        if above == layer {
            let slot = node.slot(at, spot).0;
            let mut right = None;
            if let Some(child) = slot.take() {
                (*slot, right) = split(child.into_loaded()?, key)?;
            }
            node.entries.insert(at, Entry { key: key.into(), value, right });
            return Ok(());
        }
        match node.slot(at, spot) {
            (Some(child), below) => {
                node = child.open(source, below)?;
                spot = below;
            }
            (slot, _) => {
                let mut leaf = Node::new(layer);
                leaf.entries.push(Entry { key: key.into(), value, right: None });
                *slot = Some(raise(Child::from(leaf), layer, above));
                return Ok(());
            }
        }
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

/// Splits a subtree into what is before a key and what is after it. The half with more entries keeps the stored node's place.
fn split<E: std::error::Error + 'static>(mut left: Node, key: &str) -> Result<Halves, MstError<E>> {
    left.touch();
    let (Ok(at) | Err(at)) = left.find(key);
    let mut right = Node::new(left.layer);
    let slot = left.slot(at, Spot::TOP).0;
    if let Some(middle) = slot.take() {
        (*slot, right.left) = split(middle.into_loaded()?, key)?;
    }
    right.entries = left.entries.split_off(at);
    if left.is_empty() || (!right.is_empty() && right.entries.len() > left.entries.len()) {
        right.stored = left.stored.take();
    }
    let keep = |node: Node| (!node.is_empty()).then(|| Child::from(node));
    Ok((keep(left), keep(right)))
}
