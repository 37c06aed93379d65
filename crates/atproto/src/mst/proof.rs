//! The nodes that prove what a tree says, and those that let others undo a change (sync spec, covering proofs).

use super::node::{Child, Node};
use super::{Mst, MstError, NodeSource};
use crate::data::Cid;
use bytes::Bytes;
use std::collections::BTreeMap;

impl<S: NodeSource> Mst<S> {
    /// The nodes of this tree that anyone needs to check and to undo operations on `keys`, in any order: the path
    /// to each key, and for a key that is there also the paths to the keys before and after it, since undoing its creation
    /// merges what is between them. Call it after [`finish`](Self::finish).
    pub fn proof<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<BTreeMap<Cid, Bytes>, MstError<S::Error>> {
        let mut blocks = BTreeMap::new();
        for key in keys {
            descend(&self.source, &mut self.root, key, true, &mut |cid, block| {
                blocks.insert(cid, block);
            })?;
        }
        Ok(blocks)
    }

    /// The nodes from the top to a key, or to where it would be: proof that it is, or is not, in the tree.
    pub fn path(&mut self, key: &str) -> Result<Vec<(Cid, Bytes)>, MstError<S::Error>> {
        let mut path = Vec::new();
        descend(&self.source, &mut self.root, key, false, &mut |cid, block| path.push((cid, block)))?;
        Ok(path)
    }
}

/// Collects the nodes down to a key, with its neighbours' paths below it if `covering`.
fn descend<S: NodeSource>(
    source: &S,
    root: &mut Child,
    key: &str,
    covering: bool,
    take: &mut impl FnMut(Cid, Bytes),
) -> Result<(), MstError<S::Error>> {
    let mut node = root.open(source, None)?;
    loop {
        collect(node, take);
        let below = node.layer.checked_sub(1);
        match node.find(key) {
            Ok(at) => {
                if covering {
                    spine(source, node.child_mut(at), below, Side::Last, take)?;
                    spine(source, node.child_mut(at + 1), below, Side::First, take)?;
                }
                return Ok(());
            }
            Err(at) => match node.child_mut(at) {
                Some(child) => node = child.open(source, below)?,
                None => return Ok(()),
            },
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    First,
    Last,
}

/// Collects the nodes along one edge of a subtree.
fn spine<S: NodeSource>(
    source: &S,
    mut next: Option<&mut Child>,
    mut layer: Option<u8>,
    side: Side,
    take: &mut impl FnMut(Cid, Bytes),
) -> Result<(), MstError<S::Error>> {
    while let Some(child) = next {
        let node = child.open(source, layer)?;
        collect(node, take);
        layer = node.layer.checked_sub(1);
        let at = match side {
            Side::First => 0,
            Side::Last => node.entries.len(),
        };
        next = node.child_mut(at);
    }
    Ok(())
}

fn collect(node: &Node, take: &mut impl FnMut(Cid, Bytes)) {
    if let Some((link, stored)) = &node.stored {
        take(link.cid, stored.block.clone());
    }
}
