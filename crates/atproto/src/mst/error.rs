//! What can go wrong with a tree.

use crate::data::Cid;
use crate::data::cbor::CborError;

/// Why a tree could not be read or edited. What failed has changed nothing: the tree is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum MstError<E: std::error::Error + 'static> {
    /// The source failed.
    #[error("reading a tree node: {0}")]
    Source(#[source] E),
    /// The source does not have a node that the tree refers to.
    #[error("the tree node {0} is missing")]
    Missing(Cid),
    /// A node is not one of a canonical tree.
    #[error("the tree node {cid} is not valid: {fault}")]
    Node {
        /// The node.
        cid: Cid,
        /// What is wrong with it.
        fault: NodeFault,
    },
    /// The key is there already.
    #[error("the tree has the key {0} already")]
    Exists(String),
    /// The key is not there.
    #[error("the tree does not have the key {0}")]
    Absent(String),
    /// Not a key that a tree can hold.
    #[error("not a record path of at most {max} bytes: {0:?}", max = super::MAX_KEY_LEN)]
    Key(String),
    /// Keys have been chosen so that one node would hold too many.
    #[error(
        "{0} keys would share one node of the tree, at most {max} may: use record keys that are not chosen by their hashes",
        max = super::MAX_NODE_KEYS
    )]
    Full(usize),
}

/// What is wrong with a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeFault {
    /// Not the DAG-CBOR of a node.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// A map has other members than it must.
    #[error("unexpected members")]
    Members,
    /// A key that is no record path.
    #[error("entry {0} has a key that is no record path")]
    Key(usize),
    /// A key shares more or less with the one before than it says.
    #[error("entry {0} is not compressed as it must be")]
    Prefix(usize),
    /// Keys are not in ascending order.
    #[error("entry {0} is out of order")]
    Order(usize),
    /// A key belongs to another layer than its node.
    #[error("entry {0} belongs to another layer")]
    Layer(usize),
    /// Keys are not between those of the nodes above.
    #[error("its keys are out of order with those of the nodes above")]
    Bounds,
    /// More keys than a node may have.
    #[error("it has more than {max} keys", max = super::MAX_NODE_KEYS)]
    TooManyKeys,
    /// A node without entries at the top or without a subtree.
    #[error("a node without entries must stand between two layers")]
    Empty,
    /// A link to a node is not to DAG-CBOR.
    #[error("nodes are DAG-CBOR, a link says something else")]
    Codec,
    /// A subtree below layer 0.
    #[error("a node of layer 0 has a subtree")]
    Depth,
    /// The store knows places of another number of subtrees.
    #[error("the places of its subtrees do not fit")]
    Places,
}
