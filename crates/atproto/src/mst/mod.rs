//! The Merkle search tree of a repository (repository spec, "MST Structure").
//!
//! A tree maps record paths to CIDs. A key's *layer* is fixed by its hash ([`key_layer`]), so the same keys give the same tree
//! whatever the order of edits. A *node* holds the keys of one layer between two keys of the layer above, and links to the
//! subtrees between them, always exactly one layer down: where no key of that layer falls in between, a node without
//! entries stands in. The top node of a tree has entries, unless the tree is empty.
//!
//! A node is known by its [`Link`]: the CID, which is what the network sees, and the [`Place`], which is where a store keeps it.
//! A node that changes is rewritten in its place; a store that only knows CIDs ignores places.
//!
//! Nodes are loaded when they are needed, from a [`NodeSource`]; an edit loads one path. [`Mst::finish`] encodes and hashes
//! each changed node once and says what a store must write.
//!
//! A node that is loaded is checked against its spot (layer and keys around it), so what is read is canonical as far as it is
//! read, and the depth of any tree, hostile ones too, is bounded by the 129 layers there are.
//!
//! *Tricky*: a batch may pass through the empty tree and come out at another height; splitting must not leave a node without
//! entries and subtree; after deletes the top may have to come down several layers, which is done once, at the end. An edit
//! loads all that it takes apart or joins before it changes anything, so that one that fails leaves the tree as it was.

mod course;
mod delete;
mod diff;
mod encoding;
mod error;
mod finish;
mod insert;
mod node;
mod place;
mod proof;
mod range;
mod source;
mod walk;

pub use diff::{Difference, diff};
pub use encoding::{MAX_KEY_LEN, MAX_NODE_KEYS, key_layer};
pub use error::{MstError, NodeFault};
pub use finish::{Change, WrittenNode};
pub use place::{Link, Place, PlacesError, decode_places, encode_places};
pub use range::{Range, range};
pub use source::{BlockMap, NodeSource, StoredNode};
pub use walk::{Step, Walk, walk};

use crate::data::Cid;
use node::{Child, Found, Node, Spot};

/// A tree that can be read and edited.
#[derive(Debug)]
pub struct Mst<S> {
    source: S,
    root: Child,
    /// Stored nodes that the edits since the last [`finish`](Self::finish) left without a part in the tree.
    removed: Vec<Link>,
}

impl<S: NodeSource> Mst<S> {
    /// A tree without keys, nothing of which is stored yet.
    pub fn empty(source: S) -> Self {
        Self { source, root: Child::from(Node::new(0)), removed: Vec::new() }
    }

    /// The tree with this root. Nothing is loaded yet.
    pub fn open(source: S, root: Link) -> Self {
        Self { source, root: Child::from(root), removed: Vec::new() }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &str) -> Result<Option<Cid>, MstError<S::Error>> {
        let found = locate(&self.source, &mut self.root, key, key_layer(key))?;
        Ok(found.and_then(|(node, at, _)| node.entries.get(at)).map(|entry| entry.value))
    }

    /// Gives a present key another value, and returns the one it had.
    pub fn update(&mut self, key: &str, value: Cid) -> Result<Cid, MstError<S::Error>> {
        let absent = || MstError::Absent(key.to_owned());
        if self.get(key)?.is_none() {
            return Err(absent());
        }
        let mut spot = Spot::TOP;
        let mut node = self.root.open(&self.source, spot)?;
        loop {
            node.touch();
            let at = match node.find(key) {
                Ok(at) => {
                    let entry = node.entries.get_mut(at).ok_or_else(absent)?;
                    return Ok(std::mem::replace(&mut entry.value, value));
                }
                Err(at) => at,
            };
            let (child, below) = node.slot(at, spot);
            node = child.as_mut().ok_or_else(absent)?.open(&self.source, below)?;
            spot = below;
        }
    }
}

/// Finds a key. Loads the nodes on the way there, none below layer `lowest`.
fn locate<'t, S: NodeSource>(
    source: &S,
    root: &'t mut Child,
    key: &str,
    lowest: u8,
) -> Result<Option<Found<'t>>, MstError<S::Error>> {
    let mut spot = Spot::TOP;
    let mut node = root.open(source, spot)?;
    loop {
        let at = match node.find(key) {
            Ok(at) => return Ok(Some((node, at, spot))),
            Err(at) => at,
        };
        if node.layer <= lowest {
            return Ok(None);
        }
        let (Some(child), below) = node.slot(at, spot) else { return Ok(None) };
        node = child.open(source, below)?;
        spot = below;
    }
}

#[cfg(test)]
mod tests;
