//! Applying writes to a repo: everything that a store must keep, worked out before anything is stored.

use super::Commit;
use crate::car;
use crate::crypto::SecretKey;
use crate::data::Cid;
use crate::mst::{BlockMap, Change, Link, Mst, MstError, NodeSource, Place};
use crate::syntax::{Did, Nsid, RecordKey, Tid};
use bytes::Bytes;
use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;

/// Where a repo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The current commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// The root of its tree.
    pub root: Link,
    /// The first place that no node has ever had.
    pub next_place: Place,
}

/// What to do at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A record that must not be there yet.
    Create(Cid),
    /// A record that must be there.
    Update(Cid),
    /// Either.
    Put(Cid),
    /// No record; nothing happens when there is none.
    Delete,
}

/// One write of a batch.
#[derive(Clone, Debug)]
pub struct Write {
    /// `collection/rkey`.
    pub path: String,
    /// What to do.
    pub action: Action,
    /// What must be there before: `Some(None)` is no record. `None` is anything.
    pub swap: Option<Option<Cid>>,
}

/// A record operation of a commit, as the firehose tells it: each path at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoOp {
    /// `collection/rkey`.
    pub path: String,
    /// The record after the commit; none is a delete.
    pub cid: Option<Cid>,
    /// The record before the commit; none is a create.
    pub prev: Option<Cid>,
}

/// A commit that is ready to be stored.
#[derive(Debug)]
pub struct Applied<S> {
    /// The head to put in place of the old one.
    pub head: Head,
    /// The block of the commit.
    pub commit_block: Bytes,
    /// The revision before; none for the first commit.
    pub since: Option<Tid>,
    /// The tree's root before; none for the first commit.
    pub prev_data: Option<Cid>,
    /// What changed, in order of path.
    pub ops: Vec<RepoOp>,
    /// What changed in the tree.
    pub change: Change,
    tree: Mst<S>,
}

impl<S: NodeSource> Applied<S> {
    /// The nodes of the new tree that anyone needs to prove the operations and to invert them.
    pub fn proof(&mut self) -> Result<BTreeMap<Cid, Bytes>, MstError<S::Error>> {
        self.tree.proof(self.ops.iter().map(|op| op.path.as_str()))
    }

    /// What a store keeps of it; the source is let go.
    pub fn into_stored(self) -> (Head, Bytes, Change) {
        (self.head, self.commit_block, self.change)
    }

    /// The CAR of the `#commit` event: the commit as its root, every new node, the nodes that others need to invert the
    /// operations, and `records`, which are the new ones. A block is there once.
    pub fn diff<'r>(
        &mut self,
        records: impl Iterator<Item = (Cid, &'r [u8])>,
    ) -> Result<Vec<u8>, MstError<S::Error>> {
        let mut nodes = self.proof()?;
        let new: HashSet<&Cid> = self.change.new_blocks.iter().collect();
        for node in self.change.written.iter().filter(|node| new.contains(&node.link.cid)) {
            nodes.entry(node.link.cid).or_insert_with(|| node.block.clone());
        }
        let mut records: Vec<_> = records.collect();
        let mut seen = HashSet::with_capacity(records.len());
        records.retain(|(cid, _)| seen.insert(*cid));
        let bytes = nodes.values().map(Bytes::len).sum::<usize>()
            + records.iter().map(|(_, body)| body.len()).sum::<usize>()
            + self.commit_block.len();
        let mut out = Vec::with_capacity(bytes + (nodes.len() + records.len() + 2) * 40);
        out.extend_from_slice(&car::header(&[self.head.commit]));
        car::section(&self.head.commit, &self.commit_block, &mut out);
        for (cid, block) in &nodes {
            car::section(cid, block, &mut out);
        }
        for (cid, body) in records {
            car::section(&cid, body, &mut out);
        }
        Ok(out)
    }
}

/// Why writes were not applied; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E: std::error::Error + 'static> {
    /// A create at a path that has a record.
    #[error("{0} already has a record")]
    Exists(String),
    /// An update at a path that has none.
    #[error("{0} has no record")]
    Missing(String),
    /// The record is not the expected one.
    #[error("{path} does not have the expected record")]
    Swap {
        /// Where.
        path: String,
        /// What is there.
        found: Option<Cid>,
    },
    /// `rev` is not above the current one.
    #[error("the revision must be above {0}")]
    Rev(Tid),
    /// The tree could not be read or takes no such key.
    #[error(transparent)]
    Mst(#[from] MstError<E>),
}

/// Applies `writes` in order on top of `head` and signs the commit, with revision `rev`. `None` when
/// nothing is different afterwards: then there is no commit.
pub fn apply<S: NodeSource>(
    source: S,
    head: &Head,
    writes: &[Write],
    did: &Did,
    rev: Tid,
    key: &SecretKey,
) -> Result<Option<Applied<S>>, ApplyError<S::Error>> {
    if rev <= head.rev {
        return Err(ApplyError::Rev(head.rev));
    }
    let mut tree = Mst::open(source, head.root);
    // Path -> what was there before the batch. A path may be written more than once; its net effect is one op.
    let mut before: BTreeMap<&str, Option<Cid>> = BTreeMap::new();
    for write in writes {
        let found = write_one(&mut tree, write)?;
        before.entry(&write.path).or_insert(found);
    }
    let mut ops = Vec::with_capacity(before.len());
    for (path, prev) in before {
        let cid = tree.get(path)?;
        if cid != prev {
            ops.push(RepoOp { path: path.to_owned(), cid, prev });
        }
    }
    if ops.is_empty() {
        return Ok(None);
    }
    let change = tree.finish(head.next_place)?;
    Ok(Some(signed(tree, change, ops, (did, rev, key), Some((head.rev, head.root.cid)))))
}

/// A commit of the tree as it is: only the revision is new.
pub fn renew<S: NodeSource>(source: S, head: &Head, did: &Did, rev: Tid, key: &SecretKey) -> Applied<S> {
    let change = Change {
        root: head.root,
        written: Vec::new(),
        removed: Vec::new(),
        new_blocks: Vec::new(),
        replaced: Vec::new(),
        next_place: head.next_place,
    };
    let tree = Mst::open(source, head.root);
    signed(tree, change, Vec::new(), (did, rev, key), Some((head.rev, head.root.cid)))
}

/// The first commit of a repo: an empty tree.
pub fn create(did: &Did, rev: Tid, key: &SecretKey) -> Result<Applied<BlockMap>, MstError<Infallible>> {
    let mut tree = Mst::empty(BlockMap::default());
    let change = tree.finish(Place(1))?;
    Ok(signed(tree, change, Vec::new(), (did, rev, key), None))
}

fn signed<S>(
    tree: Mst<S>,
    change: Change,
    ops: Vec<RepoOp>,
    (did, rev, key): (&Did, Tid, &SecretKey),
    before: Option<(Tid, Cid)>,
) -> Applied<S> {
    let commit_block = Commit::sign(did.clone(), rev, change.root.cid, key).encode();
    let commit = Cid::dag_cbor(&commit_block);
    let head = Head { commit, rev, root: change.root, next_place: change.next_place };
    let (since, prev_data) = before.unzip();
    Applied { head, commit_block, since, prev_data, ops, change, tree }
}

/// True for `collection/rkey` with a collection and a record key as the protocol has them (repository spec, "Repository
/// Paths").
pub(super) fn is_record_path(path: &str) -> bool {
    path.split_once('/')
        .is_some_and(|(collection, rkey)| Nsid::parse(collection).is_ok() && RecordKey::parse(rkey).is_ok())
}

/// Does one write and says what was there before it.
fn write_one<S: NodeSource>(tree: &mut Mst<S>, write: &Write) -> Result<Option<Cid>, ApplyError<S::Error>> {
    let path = write.path.as_str();
    if !is_record_path(path) {
        return Err(MstError::Key(path.to_owned()).into());
    }
    let found = tree.get(path)?;
    if write.swap.is_some_and(|expected| expected != found) {
        return Err(ApplyError::Swap { path: path.to_owned(), found });
    }
    match (write.action, found) {
        (Action::Create(_), Some(_)) => return Err(ApplyError::Exists(path.to_owned())),
        (Action::Update(_), None) => return Err(ApplyError::Missing(path.to_owned())),
        (Action::Create(cid) | Action::Put(cid), None) => tree.insert(path, cid)?,
        (Action::Update(cid) | Action::Put(cid), Some(known)) if cid != known => {
            tree.update(path, cid)?;
        }
        (Action::Delete, Some(_)) => {
            tree.delete(path)?;
        }
        (Action::Update(_) | Action::Put(_), Some(_)) | (Action::Delete, None) => {}
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
