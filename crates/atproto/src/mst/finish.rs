//! From edits to what a store must write.

use super::encoding::encode;
use super::node::Child;
use super::{Link, Mst, MstError, NodeSource, Place, StoredNode};
use crate::data::Cid;
use bytes::Bytes;
use std::collections::HashSet;

/// What the edits since the tree was opened, or last finished, come to.
#[derive(Clone, Debug)]
pub struct Change {
    /// The top node.
    pub root: Link,
    /// Nodes to write, each at its place: new ones, and those whose content or whose subtrees' places changed.
    pub written: Vec<WrittenNode>,
    /// Nodes whose places are empty now.
    pub removed: Vec<Link>,
    /// Blocks that the tree before did not have.
    pub new_blocks: Vec<Cid>,
    /// Blocks that the tree before had and this one does not.
    pub replaced: Vec<Cid>,
    /// The first place that is still unused.
    pub next_place: Place,
}

/// A node to write.
#[derive(Clone, Debug)]
pub struct WrittenNode {
    /// Its hash and its place.
    pub link: Link,
    /// The node in DAG-CBOR.
    pub block: Bytes,
    /// Places of its subtrees, in order.
    pub children: Vec<Place>,
}

impl<S: NodeSource> Mst<S> {
    /// Encodes what changed. New nodes get places from `next_place` on. The tree can be read and edited further.
    pub fn finish(&mut self, next_place: Place) -> Result<Change, MstError<S::Error>> {
        let mut pass = Pass { next_place, written: Vec::new(), before: Vec::new(), after: Vec::new() };
        let root = pass.visit(&mut self.root).ok_or(MstError::Missing(Cid::dag_cbor(&[])))?;
        let removed = std::mem::take(&mut self.removed);
        pass.before.extend(removed.iter().map(|link| link.cid));
        let before: HashSet<Cid> = pass.before.iter().copied().collect();
        let after: HashSet<Cid> = pass.after.iter().copied().collect();
        Ok(Change {
            root,
            written: pass.written,
            removed,
            new_blocks: pass.after.into_iter().filter(|cid| !before.contains(cid)).collect(),
            replaced: pass.before.into_iter().filter(|cid| !after.contains(cid)).collect(),
            next_place: pass.next_place,
        })
    }

    /// The CID of the top node, where places do not matter.
    pub fn root_cid(&mut self) -> Result<Cid, MstError<S::Error>> {
        Ok(self.finish(Place(1))?.root.cid)
    }
}

struct Pass {
    next_place: Place,
    written: Vec<WrittenNode>,
    /// CIDs of stored nodes that were visited and have another content now.
    before: Vec<Cid>,
    /// CIDs that they and new nodes have.
    after: Vec<Cid>,
}

impl Pass {
    /// Encodes a subtree from the bottom up, as far as it changed, and gives the link to it.
    fn visit(&mut self, child: &mut Child) -> Option<Link> {
        if let Some(link) = child.clean_link() {
            return Some(link);
        }
        let node = child.loaded_mut()?;
        let mut subtrees = Vec::with_capacity(node.entries.len() + 1);
        let mut children = Vec::new();
        for slot in node.slots_mut() {
            let link = match slot {
                Some(child) => Some(self.visit(child)?),
                None => None,
            };
            children.extend(link.map(|link| link.place));
            subtrees.push(link.map(|link| link.cid));
        }
        let block = Bytes::from(encode(&node.entries, &subtrees));
        let cid = Cid::dag_cbor(&block);
        let place = match node.link() {
            Some(link) => link.place,
            None => self.take_place(),
        };
        let link = Link { cid, place };
        let same_block = node.link() == Some(link);
        let same_places = node.stored.as_ref().is_some_and(|(_, stored)| stored.children == children);
        if !same_block {
            self.before.extend(node.link().map(|link| link.cid));
            self.after.push(cid);
        }
        if !(same_block && same_places) {
            self.written.push(WrittenNode { link, block: block.clone(), children: children.clone() });
        }
        node.stored = Some((link, StoredNode { block, children }));
        node.dirty = false;
        Some(link)
    }

    fn take_place(&mut self) -> Place {
        let place = self.next_place;
        self.next_place = Place(place.0 + 1);
        place
    }
}
