//! The way through a whole tree, in order, with the memory of one path.

use super::node::{Child, Node, Spot, load};
use super::{Link, MstError, NodeSource};
use crate::data::Cid;
use std::cmp::Ordering;

/// Something that is still to come.
#[derive(Debug)]
pub(super) enum Ahead {
    /// A subtree and the layer of its top, `None` for the top of the tree.
    Subtree(Link, Option<u8>),
    /// A key and its value.
    Leaf(Box<str>, Cid),
}

/// What is still to come of a tree, and what came last. Where nodes are loaded from is given whenever one is.
#[derive(Debug)]
pub(super) struct Course {
    /// Descending instead of ascending.
    reverse: bool,
    /// What is still to come, last first.
    ahead: Vec<Ahead>,
    /// The key that came last, empty before the first.
    last: String,
}

impl Course {
    pub(super) fn new(root: Link, reverse: bool) -> Self {
        Self { reverse, ahead: vec![Ahead::Subtree(root, None)], last: String::new() }
    }

    pub(super) fn peek(&self) -> Option<&Ahead> {
        self.ahead.last()
    }

    pub(super) fn next(&mut self) -> Option<Ahead> {
        let next = self.ahead.pop()?;
        if let Ahead::Leaf(key, _) = &next {
            self.last.clear();
            self.last.push_str(key);
        }
        Some(next)
    }

    /// Loads a subtree's top that came next, and checks it against the keys on both sides.
    pub(super) fn load<S: NodeSource>(
        &self,
        source: &S,
        link: Link,
        layer: Option<u8>,
    ) -> Result<Node, MstError<S::Error>> {
        // Whatever subtree comes, a key comes after it: that of its parent, or of the first ancestor that has more.
        let next = match self.ahead.last() {
            Some(Ahead::Leaf(key, _)) => Some(&**key),
            _ => None,
        };
        let last = (!self.last.is_empty()).then_some(self.last.as_str());
        let (after, before) = if self.reverse { (next, last) } else { (last, next) };
        load(source, link, Spot { layer, after, before })
    }

    /// Puts what is in a node ahead, without what comes before `start` as far as the node itself shows it.
    pub(super) fn enter(&mut self, node: Node, start: Option<&str>) {
        let below = Some(node.layer.saturating_sub(1));
        let subtree = |child: Child| child.clean_link().map(|link| Ahead::Subtree(link, below));
        let from = self.ahead.len();
        self.ahead.extend(node.left.and_then(subtree));
        for entry in node.entries {
            self.ahead.push(Ahead::Leaf(entry.key, entry.value));
            self.ahead.extend(entry.right.and_then(subtree));
        }
        let inside = self.ahead.get_mut(from..).unwrap_or_default();
        if !self.reverse {
            inside.reverse();
        }
        // Before a leaf that is out of range all is out of range, and so it is before a leaf that is the start itself.
        let Some(start) = start else { return };
        let reverse = self.reverse;
        let order = |ahead: &Ahead| match ahead {
            Ahead::Leaf(key, _) if reverse => start.cmp(key),
            Ahead::Leaf(key, _) => (**key).cmp(start),
            Ahead::Subtree(..) => Ordering::Greater,
        };
        let found = inside.iter().map(order).enumerate().find(|(_, order)| order.is_le());
        if let Some((at, order)) = found {
            self.ahead.truncate(from + at + usize::from(order.is_eq()));
        }
    }

    /// Ends here.
    pub(super) fn stop(&mut self) {
        self.ahead.clear();
    }
}
