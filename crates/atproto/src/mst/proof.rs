//! The nodes that prove what a tree says, and those that let others undo a change (repository spec, "operation inversion").

use super::finish::block_of;
use super::node::{Child, Found, Node, Spot};
use super::{Mst, MstError, NodeSource};
use crate::data::Cid;
use bytes::Bytes;
use std::collections::BTreeMap;

impl<S: NodeSource> Mst<S> {
    /// The nodes of this tree that anyone needs to check and to undo operations on `keys`, in any order: the path
    /// to each key, and for a key that is there also the paths to the keys before and after it, since undoing its creation
    /// merges what is between them. After [`finish`](Self::finish) nothing is encoded for it.
    pub fn proof<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<BTreeMap<Cid, Bytes>, MstError<S::Error>> {
        self.trim()?;
        let mut blocks = BTreeMap::new();
        let mut take = |cid, block| drop(blocks.insert(cid, block));
        for key in keys {
            if let Some((node, at, spot)) = descend(&self.source, &mut self.root, key, &mut take)? {
                edge(&self.source, node.slot(at, spot), Side::Last, &mut take)?;
                edge(&self.source, node.slot(at + 1, spot), Side::First, &mut take)?;
            }
        }
        Ok(blocks)
    }

    /// The nodes from the top to a key, or to where it would be: proof that it is, or is not, in the tree.
    pub fn path(&mut self, key: &str) -> Result<Vec<(Cid, Bytes)>, MstError<S::Error>> {
        self.trim()?;
        let mut path = Vec::new();
        descend(&self.source, &mut self.root, key, &mut |cid, block| path.push((cid, block)))?;
        Ok(path)
    }
}

/// Finds a key and collects the nodes on the way there.
fn descend<'t, S: NodeSource>(
    source: &S,
    root: &'t mut Child,
    key: &str,
    take: &mut impl FnMut(Cid, Bytes),
) -> Result<Option<Found<'t>>, MstError<S::Error>> {
    let mut spot = Spot::TOP;
    let mut node = root.open(source, spot)?;
    loop {
        collect(node, take);
        let at = match node.find(key) {
            Ok(at) => return Ok(Some((node, at, spot))),
            Err(at) => at,
        };
        let (Some(child), below) = node.slot(at, spot) else { return Ok(None) };
        node = child.open(source, below)?;
        spot = below;
    }
}

#[derive(Clone, Copy)]
enum Side {
    First,
    Last,
}

/// Collects the nodes along one edge of a subtree.
fn edge<'t, S: NodeSource>(
    source: &S,
    mut next: (&'t mut Option<Child>, Spot<'t>),
    side: Side,
    take: &mut impl FnMut(Cid, Bytes),
) -> Result<(), MstError<S::Error>> {
    while let (Some(child), spot) = next {
        let node = child.open(source, spot)?;
        collect(node, take);
        let at = match side {
            Side::First => 0,
            Side::Last => node.entries.len(),
        };
        next = node.slot(at, spot);
    }
    Ok(())
}

fn collect(node: &Node, take: &mut impl FnMut(Cid, Bytes)) {
    let (cid, block) = block_of(node);
    take(cid, block);
}
