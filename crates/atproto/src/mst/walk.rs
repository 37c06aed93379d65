//! Every node and leaf of a tree, in the order of a CAR.

use super::course::{Ahead, Course};
use super::{Link, MstError, NodeSource};
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
    Walk { course: Course::new(source, root, false), descend }
}

/// See [`walk`].
#[derive(Debug)]
pub struct Walk<S, D> {
    course: Course<S>,
    descend: D,
}

impl<S: NodeSource, D: FnMut(&Link) -> bool> Iterator for Walk<S, D> {
    type Item = Result<Step, MstError<S::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.course.next()? {
                Ahead::Leaf(key, value) => return Some(Ok(Step::Leaf { key: key.into(), value })),
                Ahead::Subtree(link, layer) if (self.descend)(&link) => {
                    return Some(self.node(link, layer).inspect_err(|_| self.course.stop()));
                }
                Ahead::Subtree(..) => {}
            }
        }
    }
}

impl<S: NodeSource, D> Walk<S, D> {
    fn node(&mut self, link: Link, layer: Option<u8>) -> Result<Step, MstError<S::Error>> {
        let node = self.course.load(link, layer)?;
        let block = node.stored.as_ref().map(|(_, stored)| stored.block.clone()).unwrap_or_default();
        self.course.enter(node, None);
        Ok(Step::Node { link, block })
    }
}
