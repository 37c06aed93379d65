//! Removing a key: the subtrees beside it are merged.

use super::node::{Child, Node, Spot};
use super::{Link, Mst, MstError, NodeSource, key_layer, locate};
use crate::data::Cid;

impl<S: NodeSource> Mst<S> {
    /// Removes a key that is there, and returns its value.
    pub fn delete(&mut self, key: &str) -> Result<Cid, MstError<S::Error>> {
        let found = locate(&self.source, &mut self.root, key, key_layer(key))?;
        let Some((node, at, spot)) = found else { return Err(MstError::Absent(key.to_owned())) };
        if let Some([left, right]) = node.beside(at, spot) {
            load_seam(&self.source, left, right)?;
        }
        let top = self.root.open(&self.source, Spot::TOP)?;
        delete_in(&self.source, top, Spot::TOP, key, &mut self.removed)
    }
}

/// Loads the nodes of two neighbouring subtrees that become one when the key between them goes: their edges at the key, as
/// far down as both go.
fn load_seam<'a, S: NodeSource>(
    source: &S,
    mut left: (&'a mut Child, Spot<'a>),
    mut right: (&'a mut Child, Spot<'a>),
) -> Result<(), MstError<S::Error>> {
    loop {
        let (a, b) = (left.0.open(source, left.1)?, right.0.open(source, right.1)?);
        let end = a.entries.len();
        match (a.slot(end, left.1), b.slot(0, right.1)) {
            ((Some(a), a_spot), (Some(b), b_spot)) => (left, right) = ((a, a_spot), (b, b_spot)),
            _ => return Ok(()),
        }
    }
}

/// Removes a key from a subtree; all that it takes is loaded.
fn delete_in<S: NodeSource>(
    source: &S,
    node: &mut Node,
    spot: Spot<'_>,
    key: &str,
    removed: &mut Vec<Link>,
) -> Result<Cid, MstError<S::Error>> {
    node.touch();
    match node.find(key) {
        Ok(at) => {
            let entry = node.entries.remove(at);
            let slot = node.slot(at, spot).0;
            *slot = match (slot.take(), entry.right) {
                (Some(left), Some(right)) => {
                    Some(Child::from(merge(left.into_loaded()?, right.into_loaded()?, removed)?))
                }
                (left, right) => left.or(right),
            };
            Ok(entry.value)
        }
        Err(at) => {
            let (slot, below) = node.slot(at, spot);
            let child = slot.as_mut().ok_or_else(|| MstError::Absent(key.to_owned()))?;
            let child = child.open(source, below)?;
            let value = delete_in(source, child, below, key, removed)?;
            if child.is_empty() {
                removed.extend(child.link());
                *slot = None;
            }
            Ok(value)
        }
    }
}

/// One subtree of two neighbours of the same layer.
fn merge<E: std::error::Error + 'static>(
    mut left: Node,
    mut right: Node,
    removed: &mut Vec<Link>,
) -> Result<Node, MstError<E>> {
    left.touch();
    let end = left.entries.len();
    let slot = left.slot(end, Spot::TOP).0;
    *slot = match (slot.take(), right.left.take()) {
        (Some(a), Some(b)) => Some(Child::from(merge(a.into_loaded()?, b.into_loaded()?, removed)?)),
        (a, b) => a.or(b),
    };
    left.entries.append(&mut right.entries);
    match (&left.stored, right.stored.take()) {
        (None, stored) => left.stored = stored,
        (Some(_), stored) => removed.extend(stored.map(|(link, _)| link)),
    }
    Ok(left)
}
