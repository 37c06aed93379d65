//! A repo rebuilt from events alone.

use super::commit::Claim;
use super::{Begin, Fault};
use bytes::Bytes;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link, Mst, NodeSource, Place, StoredNode};
use rookery_atproto::repo::{Commit, RepoOp};
use rookery_atproto::syntax::Tid;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Bound;

/// Where the events have led.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The last commit.
    pub commit: Cid,
    /// Its block.
    pub commit_block: Bytes,
    /// Its revision.
    pub rev: Tid,
    /// The root of its tree.
    pub data: Cid,
    /// All of it; none when it began before the events did.
    pub contents: Option<Contents>,
}

/// Everything in a repo.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The tree.
    pub(super) nodes: BlockMap,
    /// CID and bytes of each record by path.
    pub records: BTreeMap<String, (Cid, Bytes)>,
}

impl Mirror {
    /// A repo of which nothing was known.
    pub(super) fn begin(claim: Claim, begin: Begin) -> Result<Self, Fault> {
        let first = claim.since.is_none();
        if begin == Begin::Midway && !first {
            return Ok(Self::of_commit(claim.cid, claim.block(&claim.cid)?, &claim.commit));
        }
        follows(&claim, None)?;
        if !claim.ops.is_empty() {
            return Err(Fault::NotEmpty(claim.ops.len()));
        }
        Self { contents: Some(Contents::default()), ..Self::of(&claim)? }.grow(&claim)
    }

    /// A repo of which only the commit is known.
    pub(super) fn of_commit(cid: Cid, block: Bytes, commit: &Commit) -> Self {
        Self { commit: cid, commit_block: block, rev: commit.rev, data: commit.data, contents: None }
    }

    fn of(claim: &Claim) -> Result<Self, Fault> {
        Ok(Self::of_commit(claim.cid, claim.block(&claim.cid)?, &claim.commit))
    }

    /// The repo after one more commit.
    pub(super) fn advance(self, claim: Claim) -> Result<Self, Fault> {
        if claim.commit.rev <= self.rev {
            return Err(Fault::NotAbove { last: self.rev, found: claim.commit.rev });
        }
        follows(&claim, Some(&self))?;
        Self { contents: self.contents, ..Self::of(&claim)? }.grow(&claim)
    }

    /// Brings the contents up to the commit.
    fn grow(mut self, claim: &Claim) -> Result<Self, Fault> {
        if let Some(contents) = &mut self.contents {
            contents.grow(claim)?;
        }
        Ok(self)
    }

    /// Every block that an export must have: the commit, the records, and the one tree that these records make, built anew,
    /// which must be the one that the events have led to. None when the repo is not known from its beginning.
    pub fn export(&self) -> Option<Result<BlockMap, Fault>> {
        self.contents.as_ref().map(|contents| {
            let mut tree = Mst::empty(BlockMap::default());
            let mut blocks = BlockMap::from([(self.commit, self.commit_block.clone())]);
            for (path, (cid, block)) in &contents.records {
                tree.insert(path, *cid)?;
                blocks.insert(*cid, block.clone());
            }
            let change = tree.finish(Place(1))?;
            if change.root.cid != self.data {
                return Err(Fault::Contents { expected: change.root.cid, found: self.data });
            }
            blocks.extend(change.written.into_iter().map(|node| (node.link.cid, node.block)));
            Ok(blocks)
        })
    }
}

/// That a commit comes next.
fn follows(claim: &Claim, before: Option<&Mirror>) -> Result<(), Fault> {
    let expected = before.map(|mirror| mirror.rev);
    if claim.since != expected {
        return Err(Fault::Since { expected, found: claim.since });
    }
    let expected = before.map(|mirror| mirror.data);
    if claim.prev_data != expected {
        return Err(Fault::PrevData { expected, found: claim.prev_data });
    }
    Ok(())
}

impl Contents {
    /// What this costs goes with the operations and not with the repo. That the whole tree is the one of the records follows
    /// from commit to commit: it was so before, and the operations, undone, lead back there. [`Mirror::export`] does not rely
    /// on it.
    fn grow(&mut self, claim: &Claim) -> Result<(), Fault> {
        for op in &claim.ops {
            let found = self.records.get(&op.path).map(|(cid, _)| *cid);
            if found != op.prev {
                return Err(Fault::Replaced { path: op.path.clone(), told: op.prev, found });
            }
            match op.cid {
                Some(cid) => self.records.insert(op.path.clone(), (cid, claim.block(&cid)?)),
                None => self.records.remove(&op.path),
            };
        }
        // A node that is in one of the two trees alone is on one of these paths, so the others stay as they are.
        let mut keys = touched(&self.records, &claim.ops);
        if claim.prev_data.is_none() {
            // No operations yet, but a tree: wherever one looks for a key in it, its only node is on the way.
            keys.insert("");
        }
        let after = paths(&Either(&claim.car.blocks, &self.nodes), claim.commit.data, &keys)?;
        let told = |cid: &Cid| *cid == claim.cid || claim.ops.iter().any(|op| op.cid == Some(*cid));
        if let Some(cid) = claim.car.blocks.keys().find(|cid| !after.contains_key(cid) && !told(cid)) {
            return Err(Fault::Unneeded(*cid));
        }
        if let Some(data) = claim.prev_data {
            for cid in paths(&self.nodes, data, &keys)?.keys() {
                self.nodes.remove(cid);
            }
        }
        self.nodes.extend(after);
        Ok(())
    }
}

/// The keys of operations and those beside them: what the inversion may touch is on the paths there (repository spec,
/// "Repository Diffs").
fn touched<'a>(records: &'a BTreeMap<String, (Cid, Bytes)>, ops: &'a [RepoOp]) -> BTreeSet<&'a str> {
    let mut keys = BTreeSet::new();
    for RepoOp { path, .. } in ops {
        let at = Bound::Excluded(path.as_str());
        let before = records.range::<str, _>((Bound::Unbounded, at)).next_back();
        let after = records.range::<str, _>((at, Bound::Unbounded)).next();
        keys.extend([before, after].into_iter().flatten().map(|(key, _)| key.as_str()));
        keys.insert(path);
    }
    keys
}

/// The nodes of a tree on the paths to these keys, or to where they would be.
fn paths<S: NodeSource<Error = Infallible>>(
    source: &S,
    root: Cid,
    keys: &BTreeSet<&str>,
) -> Result<BlockMap, Fault> {
    let mut tree = Mst::open(source, Link::to_cid(root));
    let mut found = BlockMap::default();
    for key in keys {
        found.extend(tree.path(key)?);
    }
    Ok(found)
}

/// Blocks of the event, else of the tree before.
struct Either<'a>(&'a BlockMap, &'a BlockMap);

impl NodeSource for Either<'_> {
    type Error = Infallible;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, Infallible> {
        let block = self.0.get(&at.cid).or_else(|| self.1.get(&at.cid));
        Ok(block.map(|block| StoredNode { block: block.clone(), children: Vec::new() }))
    }
}
