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

/// A subtree: the link to it, or its top node once it is loaded or when it is new.
#[derive(Debug)]
pub(super) enum Child {
    Stub(Link),
    Node(Box<Node>),
}

/// Where a node stands in its tree, which is what one that is loaded there must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    /// Its layer. The top's follows from its keys.
    pub layer: Option<u8>,
    /// The nearest key before the subtree, if there is one.
    pub after: Option<&'a str>,
    /// The nearest key after the subtree, if there is one.
    pub before: Option<&'a str>,
}

/// A node that has a key, the index of its entry, and the node's spot.
pub(super) type Found<'a> = (&'a mut Node, usize, Spot<'a>);

impl Spot<'static> {
    /// The top of a tree.
    pub(super) const TOP: Self = Self { layer: None, after: None, before: None };
}

impl From<Link> for Child {
    fn from(link: Link) -> Self {
        Self::Stub(link)
    }
}

impl From<Node> for Child {
    fn from(node: Node) -> Self {
        Self::Node(Box::new(node))
    }
}

impl Child {
    /// The node, loaded now if it was not.
    pub(super) fn open<S: NodeSource>(
        &mut self,
        source: &S,
        spot: Spot<'_>,
    ) -> Result<&mut Node, MstError<S::Error>> {
        if let Self::Stub(link) = self {
            *self = Self::from(load(source, *link, spot)?);
        }
        match self {
            Self::Node(node) => Ok(node),
            // Not reached: it was loaded just now.
            Self::Stub(link) => Err(MstError::Missing(link.cid)),
        }
    }

    /// The node, taken out. An edit loads what it takes apart before it changes anything.
    pub(super) fn into_loaded<E: std::error::Error + 'static>(self) -> Result<Node, MstError<E>> {
        match self {
            Self::Node(node) => Ok(*node),
            Self::Stub(link) => Err(MstError::Missing(link.cid)),
        }
    }

    /// The link of a subtree that is stored and unchanged.
    pub(super) fn clean_link(&self) -> Option<Link> {
        match self {
            Self::Stub(link) => Some(*link),
            Self::Node(node) => node.clean_link(),
        }
    }
}

/// Loads and checks a node.
pub(super) fn load<S: NodeSource>(
    source: &S,
    link: Link,
    spot: Spot<'_>,
) -> Result<Node, MstError<S::Error>> {
    let stored = source.load(&link).map_err(MstError::Source)?.ok_or(MstError::Missing(link.cid))?;
    decode(link, stored, spot).map_err(|fault| MstError::Node { cid: link.cid, fault })
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

    /// The slot of the subtree before entry `at` (after the last entry, if `at` is their number), and its spot. `spot` is the
    /// node's own.
    pub(super) fn slot<'a>(&'a mut self, at: usize, spot: Spot<'a>) -> (&'a mut Option<Child>, Spot<'a>) {
        let layer = Some(self.layer.saturating_sub(1));
        let end = self.entries.len();
        let (earlier, later) = self.entries.split_at_mut(at.min(end));
        let before = later.first().map(|entry| &*entry.key).or(spot.before);
        match earlier.last_mut() {
            Some(Entry { key, right, .. }) => (right, Spot { layer, after: Some(key), before }),
            None => (&mut self.left, Spot { layer, after: spot.after, before }),
        }
    }

    /// The subtrees on both sides of entry `at`, if there are two.
    pub(super) fn beside<'a>(
        &'a mut self,
        at: usize,
        spot: Spot<'a>,
    ) -> Option<[(&'a mut Child, Spot<'a>); 2]> {
        let layer = Some(self.layer.saturating_sub(1));
        let end = self.entries.len();
        let (earlier, rest) = self.entries.split_at_mut(at.min(end));
        let (Entry { key, right, .. }, later) = rest.split_first_mut()?;
        let key: Option<&str> = Some(key);
        let (left, after) = match earlier.last_mut() {
            Some(Entry { key, right, .. }) => (right, Some(&**key)),
            None => (&mut self.left, spot.after),
        };
        let before = later.first().map(|entry| &*entry.key).or(spot.before);
        Some([
            (left.as_mut()?, Spot { layer, after, before: key }),
            (right.as_mut()?, Spot { layer, after: key, before }),
        ])
    }

    /// Every slot in order: one more than there are entries.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Option<Child>> {
        std::iter::once(&self.left).chain(self.entries.iter().map(|entry| &entry.right))
    }

    /// Every slot in order, to change.
    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Option<Child>> {
        std::iter::once(&mut self.left).chain(self.entries.iter_mut().map(|entry| &mut entry.right))
    }

    /// Its link, if it is stored and unchanged.
    pub(super) fn clean_link(&self) -> Option<Link> {
        if self.dirty { None } else { self.link() }
    }

    /// Where it is stored, if it is.
    pub(super) fn link(&self) -> Option<Link> {
        self.stored.as_ref().map(|(link, _)| *link)
    }
}
