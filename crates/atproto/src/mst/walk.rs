//! Every node and leaf of a tree, in the order of a CAR.

use super::node::{Node, load};
use super::{Link, MstError, NodeFault, NodeSource};
use crate::data::Cid;
use bytes::Bytes;

/// One step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A node, before everything below it.
    Node {
        /// Which.
        link: Link,
        /// The node in DAG-CBOR.
        block: Bytes,
    },
    /// A key and its value.
    Leaf {
        /// `collection/rkey`.
        key: String,
        /// The CID of the record.
        value: Cid,
    },
}

/// Walks a tree: each node, then in order of key its subtrees and leaves. `descend` is asked before each node, the top
/// included, and may leave a subtree out. Memory is that of one path. Ends after the first error.
pub fn walk<S: NodeSource, D: FnMut(&Link) -> bool>(source: S, root: Link, descend: D) -> Walk<S, D> {
    Walk { source, descend, ahead: vec![Ahead::Subtree(root, None)], last: String::new() }
}

/// See [`walk`].
#[derive(Debug)]
pub struct Walk<S, D> {
    source: S,
    descend: D,
    /// What is still to come, last first.
    ahead: Vec<Ahead>,
    /// The key before, to see that keys ascend across nodes.
    last: String,
}

/// Something to come.
#[derive(Debug)]
pub(super) enum Ahead {
    /// A subtree and the layer of its top.
    Subtree(Link, Option<u8>),
    /// A key and its value.
    Leaf(Box<str>, Cid),
}

impl<S: NodeSource, D: FnMut(&Link) -> bool> Iterator for Walk<S, D> {
    type Item = Result<Step, MstError<S::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ahead.pop()? {
                Ahead::Subtree(link, _) if !(self.descend)(&link) => {}
                Ahead::Subtree(link, layer) => {
                    let node = match load(&self.source, link, layer) {
                        Ok(node) => node,
                        Err(error) => return self.fail(error),
                    };
                    // Below the top a node must lead somewhere.
                    if layer.is_some() && node.is_empty() {
                        return self.fail(MstError::Node { cid: link.cid, fault: NodeFault::Empty });
                    }
                    let block =
                        node.stored.as_ref().map(|(_, stored)| stored.block.clone()).unwrap_or_default();
                    expand(node, &mut self.ahead);
                    return Some(Ok(Step::Node { link, block }));
                }
                Ahead::Leaf(key, value) => {
                    if *key <= *self.last {
                        return self.fail(MstError::Node { cid: value, fault: NodeFault::Order(0) });
                    }
                    self.last.clear();
                    self.last.push_str(&key);
                    return Some(Ok(Step::Leaf { key: key.into(), value }));
                }
            }
        }
    }
}

impl<S: NodeSource, D> Walk<S, D> {
    fn fail(&mut self, error: MstError<S::Error>) -> Option<Result<Step, MstError<S::Error>>> {
        self.ahead.clear();
        Some(Err(error))
    }
}

/// Puts what is in a node ahead, so that it is popped in order.
pub(super) fn expand(node: Node, ahead: &mut Vec<Ahead>) {
    let below = node.layer.checked_sub(1);
    let start = ahead.len();
    ahead.extend(node.left.and_then(|child| child.clean_link()).map(|link| Ahead::Subtree(link, below)));
    for entry in node.entries {
        ahead.push(Ahead::Leaf(entry.key, entry.value));
        ahead
            .extend(entry.right.and_then(|child| child.clean_link()).map(|link| Ahead::Subtree(link, below)));
    }
    if let Some(added) = ahead.get_mut(start..) {
        added.reverse();
    }
}
