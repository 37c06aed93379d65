//! From edits to what a store must write.

use super::encoding::encode;
use super::node::{Child, Node, Spot};
use super::{Link, MAX_NODE_KEYS, Mst, MstError, NodeSource, Place, StoredNode};
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
        self.trim()?;
        check_sizes(&self.root)?;
        let mut pass = Pass { next_place, written: Vec::new(), before: Vec::new(), after: Vec::new() };
        let root = pass.visit(&mut self.root);
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

    /// The CID of the top node as the tree is now. What there is to write stays to be written.
    pub fn root_cid(&mut self) -> Result<Cid, MstError<S::Error>> {
        self.trim()?;
        Ok(cid_of(&self.root))
    }

    /// Brings the top down to the first layer with keys.
    pub(super) fn trim(&mut self) -> Result<(), MstError<S::Error>> {
        if self.root.clean_link().is_some() {
            return Ok(());
        }
        // All that goes is loaded first, and what becomes the top.
        let mut spot = Spot::TOP;
        let mut node = self.root.open(&self.source, spot)?;
        while node.entries.is_empty() {
            let (Some(child), below) = node.slot(0, spot) else { break };
            node = child.open(&self.source, below)?;
            spot = below;
        }
        while let Child::Node(top) = &mut self.root
            && top.entries.is_empty()
        {
            let Some(child) = top.left.take() else {
                top.layer = 0;
                break;
            };
            self.removed.extend(top.link());
            self.root = child;
        }
        Ok(())
    }
}

/// Refuses a changed node that holds too many keys.
fn check_sizes<E: std::error::Error + 'static>(child: &Child) -> Result<(), MstError<E>> {
    match child {
        Child::Node(node) if node.dirty => {
            if node.entries.len() > MAX_NODE_KEYS {
                return Err(MstError::Full(node.entries.len()));
            }
            node.slots().flatten().try_for_each(check_sizes)
        }
        _ => Ok(()),
    }
}

/// The CID of a subtree, without keeping what is encoded for it.
fn cid_of(child: &Child) -> Cid {
    match child {
        Child::Stub(link) => link.cid,
        Child::Node(node) => node.clean_link().map_or_else(|| block_of(node).0, |link| link.cid),
    }
}

/// The block of a node as it is now: what is stored of a clean one, encoded for this if it has changed.
pub(super) fn block_of(node: &Node) -> (Cid, Bytes) {
    match &node.stored {
        Some((link, stored)) if !node.dirty => (link.cid, stored.block.clone()),
        _ => {
            let subtrees: Vec<Option<Cid>> = node.slots().map(|slot| slot.as_ref().map(cid_of)).collect();
            let block = Bytes::from(encode(&node.entries, &subtrees));
            (Cid::dag_cbor(&block), block)
        }
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
    fn visit(&mut self, child: &mut Child) -> Link {
        match child {
            Child::Stub(link) => *link,
            Child::Node(node) => node.clean_link().unwrap_or_else(|| self.encode(node)),
        }
    }

    fn encode(&mut self, node: &mut Node) -> Link {
        let mut subtrees = Vec::with_capacity(node.entries.len() + 1);
        let mut children = Vec::new();
        for slot in node.slots_mut() {
            let link = slot.as_mut().map(|child| self.visit(child));
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
        // A source that only knows CIDs tells no places.
        let same_places = node
            .stored
            .as_ref()
            .is_some_and(|(_, stored)| stored.children.is_empty() || stored.children == children);
        if !same_block {
            self.before.extend(node.link().map(|link| link.cid));
            self.after.push(cid);
        }
        if !(same_block && same_places) {
            self.written.push(WrittenNode { link, block: block.clone(), children: children.clone() });
        }
        node.stored = Some((link, StoredNode { block, children }));
        node.dirty = false;
        link
    }

    fn take_place(&mut self) -> Place {
        let place = self.next_place;
        self.next_place = Place(place.0 + 1);
        place
    }
}
