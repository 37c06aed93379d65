//! A store that knows nodes by place, as the server's does, and holds every change to its word.

use super::Model;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Change, Link, Mst, NodeSource, Place, Step, StoredNode, walk};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Nodes by place, and the head of the tree.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) nodes: HashMap<Place, (Cid, StoredNode)>,
    pub(crate) root: Link,
    pub(crate) next_place: Place,
    loads: AtomicUsize,
}

impl NodeSource for Store {
    type Error = Infallible;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Infallible> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (cid, node) = &self.nodes[&at.place];
        assert_eq!(*cid, at.cid, "a place holds the node that its parent means");
        Ok(Some(node.clone()))
    }
}

impl Clone for Store {
    fn clone(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            root: self.root,
            next_place: self.next_place,
            loads: AtomicUsize::new(0),
        }
    }
}

impl Store {
    /// A store with the tree of a model.
    pub(crate) fn new(model: &Model) -> Self {
        let mut tree = Mst::empty(BlockMap::default());
        for (key, value) in model {
            tree.insert(key, *value).unwrap();
        }
        let first = Place(1);
        let change = tree.finish(first).unwrap();
        let mut store =
            Self { nodes: HashMap::new(), root: change.root, next_place: first, loads: AtomicUsize::new(0) };
        store.take(&change);
        store
    }

    pub(crate) fn open(&self) -> Mst<&Self> {
        Mst::open(self, self.root)
    }

    /// How many nodes were loaded since this was last asked.
    pub(crate) fn loads(&self) -> usize {
        self.loads.swap(0, Ordering::Relaxed)
    }

    /// The hashes of all nodes, each once.
    pub(crate) fn cids(&self) -> HashSet<Cid> {
        self.nodes.values().map(|(cid, _)| *cid).collect()
    }

    /// Writes a change down.
    pub(crate) fn take(&mut self, change: &Change) {
        let before = self.cids();
        for link in &change.removed {
            assert_eq!(
                self.nodes.remove(&link.place).map(|(cid, _)| cid),
                Some(link.cid),
                "what is removed was there"
            );
        }
        let mut given = HashSet::new();
        for node in &change.written {
            assert_eq!(Cid::dag_cbor(&node.block), node.link.cid);
            let stored = StoredNode { block: node.block.clone(), children: node.children.clone() };
            match self.nodes.insert(node.link.place, (node.link.cid, stored.clone())) {
                Some((_, old)) => assert_ne!(old, stored, "a node that is the same is not written"),
                None => assert!(given.insert(node.link.place)),
            }
        }
        let expected: HashSet<Place> = (self.next_place.0..change.next_place.0).map(Place).collect();
        assert_eq!(given, expected, "places are given in a row, and those that were given once never again");
        let after = self.cids();
        assert_eq!(sorted(&change.new_blocks), sorted(&after - &before));
        assert_eq!(sorted(&change.replaced), sorted(&before - &after));
        (self.root, self.next_place) = (change.root, change.next_place);
    }

    /// Every leaf, each node having been loaded by its place.
    pub(crate) fn leaves(&self) -> Model {
        walk(self, self.root, |_| true)
            .filter_map(|step| match step.unwrap() {
                Step::Leaf { key, value } => Some((key, value)),
                Step::Node { .. } => None,
            })
            .collect()
    }
}

/// A list to compare: nothing is in it twice unless it was.
pub(crate) fn sorted<'a>(cids: impl IntoIterator<Item = impl std::borrow::Borrow<Cid>> + 'a) -> Vec<Cid> {
    let mut cids: Vec<Cid> = cids.into_iter().map(|cid| *cid.borrow()).collect();
    cids.sort();
    cids
}
