//! Nodes in memory.

use super::encoding::decode;
use super::{Link, MstError, NodeSource, StoredNode};
use crate::data::Cid;

/// A node, with its subtrees loaded or not.
#[derive(Debug)]
pub(super) struct Node {
    /// Of every key in it.
    pub layer: u8,
    /// As it was loaded or last written: its place stays its own, and the block of a clean node needs no encoding.
    pub stored: Option<(Link, StoredNode)>,
    /// True when it may differ from what is stored, or a node below it may.
    pub dirty: bool,
    /// The subtree before all entries.
    pub left: Option<Child>,
    /// In ascending order of key.
    pub entries: Vec<Entry>,
}

/// A key of a node and the subtree that follows it.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: Box<str>,
    pub value: Cid,
    pub right: Option<Child>,
}

/// A subtree: its top node when it is loaded, else the link to it. One of the two is always there.
#[derive(Debug)]
pub(super) struct Child {
    stub: Option<Link>,
    node: Option<Box<Node>>,
}

impl From<Link> for Child {
    fn from(link: Link) -> Self {
        Self { stub: Some(link), node: None }
    }
}

impl From<Node> for Child {
    fn from(node: Node) -> Self {
        Self { stub: None, node: Some(Box::new(node)) }
    }
}

impl Child {
    /// The node, loaded now if it was not. `layer` is where it belongs, `None` for the top of a tree.
    pub(super) fn open<S: NodeSource>(
        &mut self,
        source: &S,
        layer: Option<u8>,
    ) -> Result<&mut Node, MstError<S::Error>> {
        if let (Some(link), None) = (self.stub, &self.node) {
            self.node = Some(Box::new(load(source, link, layer)?));
        }
        match &mut self.node {
            Some(node) => Ok(node),
            // Not reached: a child is made from a link or from a node.
            None => Err(MstError::Missing(Cid::dag_cbor(&[]))),
        }
    }

    /// The node, taken out.
    pub(super) fn into_node<S: NodeSource>(
        mut self,
        source: &S,
        layer: Option<u8>,
    ) -> Result<Node, MstError<S::Error>> {
        let node = self.open(source, layer)?;
        let layer = node.layer;
        Ok(std::mem::replace(node, Node::new(layer)))
    }

    /// The node if it is loaded.
    pub(super) fn loaded_mut(&mut self) -> Option<&mut Node> {
        self.node.as_deref_mut()
    }

    /// The link of a node that is stored and unchanged.
    pub(super) fn clean_link(&self) -> Option<Link> {
        match &self.node {
            Some(node) if node.dirty => None,
            Some(node) => node.stored.as_ref().map(|(link, _)| *link),
            None => self.stub,
        }
    }
}

/// Loads and checks a node.
pub(super) fn load<S: NodeSource>(
    source: &S,
    link: Link,
    layer: Option<u8>,
) -> Result<Node, MstError<S::Error>> {
    let stored = source.load(&link).map_err(MstError::Source)?.ok_or(MstError::Missing(link.cid))?;
    decode(link, stored, layer).map_err(|fault| MstError::Node { cid: link.cid, fault })
}

impl Node {
    /// A new node of a layer, with nothing in it.
    pub(super) fn new(layer: u8) -> Self {
        Self { layer, stored: None, dirty: true, left: None, entries: Vec::new() }
    }

    /// True when nothing is in or below it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.left.is_none()
    }

    /// Marks it as changed.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// The index of a key's entry, or of the first entry after it.
    pub(super) fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.key).cmp(key))
    }

    /// The slot of the subtree before entry `at`, or after the last one.
    pub(super) fn slot(&mut self, at: usize) -> &mut Option<Child> {
        match at.checked_sub(1).and_then(|before| self.entries.get_mut(before)) {
            Some(entry) => &mut entry.right,
            None => &mut self.left,
        }
    }

    /// The subtree before entry `at`, or after the last one.
    pub(super) fn child_mut(&mut self, at: usize) -> Option<&mut Child> {
        self.slot(at).as_mut()
    }

    /// Its subtrees in order.
    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        self.left.iter().chain(self.entries.iter().filter_map(|entry| entry.right.as_ref()))
    }

    /// Every slot in order: one more than there are entries.
    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Option<Child>> {
        std::iter::once(&mut self.left).chain(self.entries.iter_mut().map(|entry| &mut entry.right))
    }

    /// Where it is stored, if it is.
    pub(super) fn link(&self) -> Option<Link> {
        self.stored.as_ref().map(|(link, _)| *link)
    }
}
