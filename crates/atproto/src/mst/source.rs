//! Where nodes are loaded from.

use super::{Link, Place};
use crate::data::Cid;
use bytes::Bytes;
use std::collections::HashMap;
use std::convert::Infallible;

/// A node as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// The node in DAG-CBOR.
    pub block: Bytes,
    /// Places of its subtrees in tree order: the one before all entries first, if there is one. Empty where only CIDs are known.
    pub children: Vec<Place>,
}

/// Gives nodes by link.
pub trait NodeSource {
    /// What can fail.
    type Error: std::error::Error + 'static;

    /// The node at a link, or `None` when it is not there. The block must be the one that the CID names.
    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Self::Error>;
}

impl<S: NodeSource> NodeSource for &S {
    type Error = S::Error;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Self::Error> {
        (**self).load(at)
    }
}

/// Blocks by CID, as they come out of a CAR.
pub type BlockMap = HashMap<Cid, Bytes>;

impl NodeSource for BlockMap {
    type Error = Infallible;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Infallible> {
        Ok(self.get(&at.cid).map(|block| StoredNode { block: block.clone(), children: Vec::new() }))
    }
}
