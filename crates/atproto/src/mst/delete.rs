//! Removing a key: the subtrees beside it are merged.

use super::node::{Child, Node};
use super::{Link, Mst, MstError, NodeSource};
use crate::data::Cid;

impl<S: NodeSource> Mst<S> {
    /// Removes a key that is there, and returns its value.
    pub fn delete(&mut self, key: &str) -> Result<Cid, MstError<S::Error>> {
        if self.get(key)?.is_none() {
            return Err(MstError::Absent(key.to_owned()));
        }
        let top = self.root.open(&self.source, None)?;
        let value = delete_in(&self.source, top, key, &mut self.removed)?;
        self.lower()?;
        Ok(value)
    }

    /// Brings the top down to the first layer with keys.
    fn lower(&mut self) -> Result<(), MstError<S::Error>> {
        loop {
            let top = self.root.open(&self.source, None)?;
            if !top.entries.is_empty() {
                return Ok(());
            }
            let Some(mut child) = top.left.take() else {
                top.layer = 0;
                return Ok(());
            };
            let below = top.layer.saturating_sub(1);
            self.removed.extend(top.link());
            child.open(&self.source, Some(below))?;
            self.root = child;
        }
    }
}

fn delete_in<S: NodeSource>(
    source: &S,
    node: &mut Node,
    key: &str,
    removed: &mut Vec<Link>,
) -> Result<Cid, MstError<S::Error>> {
    node.touch();
    let below = node.layer.saturating_sub(1);
    match node.find(key) {
        Ok(at) => {
            let entry = node.entries.remove(at);
            let before = node.slot(at).take();
            *node.slot(at) = match (before, entry.right) {
                (Some(left), Some(right)) => Some(merge(source, left, right, below, removed)?),
                (left, right) => left.or(right),
            };
            Ok(entry.value)
        }
        Err(at) => {
            let slot = node.slot(at);
            let child = slot.as_mut().ok_or_else(|| MstError::Absent(key.to_owned()))?;
            let below = child.open(source, Some(below))?;
            let value = delete_in(source, below, key, removed)?;
            if below.is_empty() {
                removed.extend(below.link());
                *slot = None;
            }
            Ok(value)
        }
    }
}

/// One subtree of two neighbours whose tops are at `layer`.
fn merge<S: NodeSource>(
    source: &S,
    left: Child,
    right: Child,
    layer: u8,
    removed: &mut Vec<Link>,
) -> Result<Child, MstError<S::Error>> {
    let mut left = left.into_node(source, Some(layer))?;
    let mut right = right.into_node(source, Some(layer))?;
    left.touch();
    let end = left.entries.len();
    let middle = match (left.slot(end).take(), right.left.take()) {
        (Some(a), Some(b)) => Some(merge(source, a, b, layer.saturating_sub(1), removed)?),
        (a, b) => a.or(b),
    };
    *left.slot(end) = middle;
    left.entries.append(&mut right.entries);
    match (&left.stored, right.stored.take()) {
        (None, stored) => left.stored = stored,
        (Some(_), stored) => removed.extend(stored.map(|(link, _)| link)),
    }
    Ok(Child::from(left))
}
