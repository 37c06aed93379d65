//! Every node and leaf of a tree, in the order of a CAR.

use super::course::{Ahead, Course};
use super::{Link, MstError, NodeSource};
use crate::data::Cid;
use bytes::Bytes;
use std::iter;

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

/// A way through a tree that can be left and gone on with: each node, then in order of key its subtrees and leaves. It
/// holds what is still to come of one path and no source, which must show the same tree at every step.
#[derive(Debug)]
pub struct Walk(Course);

impl Walk {
    /// Before the top of the tree.
    pub fn new(root: Link) -> Self {
        Self(Course::new(root, false))
    }

    /// What comes next, or `None` at the end. `descend` is asked before each node, the top included, and may leave a
    /// subtree out. Ends after the first error.
    pub fn next<S: NodeSource>(
        &mut self,
        source: &S,
        mut descend: impl FnMut(&Link) -> Result<bool, S::Error>,
    ) -> Result<Option<Step>, MstError<S::Error>> {
        while let Some(ahead) = self.0.next() {
            let (link, layer) = match ahead {
                Ahead::Leaf(key, value) => return Ok(Some(Step::Leaf { key: key.into(), value })),
                Ahead::Subtree(link, layer) => (link, layer),
            };
            match descend(&link).map_err(MstError::Source) {
                Ok(false) => {}
                Ok(true) => return self.node(source, link, layer).map(Some).inspect_err(|_| self.0.stop()),
                Err(error) => {
                    self.0.stop();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn node<S: NodeSource>(
        &mut self,
        source: &S,
        link: Link,
        layer: Option<u8>,
    ) -> Result<Step, MstError<S::Error>> {
        let node = self.0.load(source, link, layer)?;
        let block = node.stored.as_ref().map(|(_, stored)| stored.block.clone()).unwrap_or_default();
        self.0.enter(node, None);
        Ok(Step::Node { link, block })
    }
}

/// A [`Walk`] in one go, for whoever has the source all the time.
pub fn walk<S: NodeSource>(
    source: S,
    root: Link,
    mut descend: impl FnMut(&Link) -> bool,
) -> impl Iterator<Item = Result<Step, MstError<S::Error>>> {
    let mut walk = Walk::new(root);
    iter::from_fn(move || walk.next(&source, |link| Ok(descend(link))).transpose())
}
