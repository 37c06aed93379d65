//! A repo rebuilt from events alone.

use super::commit::Claim;
use super::{Begin, Fault};
use bytes::Bytes;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link, Mst, NodeSource, Place, Step, StoredNode, walk};
use rookery_atproto::repo::{Commit, RepoOp};
use rookery_atproto::syntax::Tid;
use std::collections::{BTreeMap, HashSet};
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

    /// Every block that an export must have: the commit, the records, and the one tree that these records make, built anew.
    /// None when the repo is not known from its beginning.
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
                let (expected, found) = (Some(change.root.cid), Some(self.data));
                return Err(Fault::PrevData { expected, found });
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
        let source = Either(&claim.car.blocks, &self.nodes);
        let mut nodes = BlockMap::default();
        let mut left = self.records.iter();
        for step in walk(&source, Link::to_cid(claim.commit.data), |_| true) {
            match step? {
                Step::Node { link, block } => drop(nodes.insert(link.cid, block)),
                Step::Leaf { key, value } => same(left.next(), Some((&key, value)))?,
            }
        }
        same(left.next(), None)?;
        let needed = self.needed(claim, &source, &nodes)?;
        if let Some(cid) = claim.car.blocks.keys().find(|cid| !needed.contains(cid)) {
            return Err(Fault::Unneeded(*cid));
        }
        self.nodes = nodes;
        Ok(())
    }

    /// The commit, the new records and nodes, and what the inversion of the operations may touch: the paths to their keys and
    /// to the keys beside them (repository spec, "Repository Diffs").
    fn needed(&self, claim: &Claim, source: &Either<'_>, nodes: &BlockMap) -> Result<HashSet<Cid>, Fault> {
        let mut needed: HashSet<Cid> = claim.ops.iter().filter_map(|op| op.cid).collect();
        needed.insert(claim.cid);
        needed.extend(nodes.keys().filter(|cid| !self.nodes.contains_key(cid)));
        let mut tree = Mst::open(source, Link::to_cid(claim.commit.data));
        for RepoOp { path, .. } in &claim.ops {
            let at = Bound::Excluded(path.as_str());
            let before = self.records.range::<str, _>((Bound::Unbounded, at)).next_back();
            let after = self.records.range::<str, _>((at, Bound::Unbounded)).next();
            let beside = [before, after].into_iter().flatten().map(|(key, _)| key);
            for key in beside.chain([path]) {
                needed.extend(tree.path(key)?.into_iter().map(|(cid, _)| cid));
            }
        }
        Ok(needed)
    }
}

/// One place in the tree against one record.
fn same(told: Option<(&String, &(Cid, Bytes))>, tree: Option<(&String, Cid)>) -> Result<(), Fault> {
    match (told, tree) {
        (None, None) => Ok(()),
        (Some((path, (cid, _))), Some((key, value))) if path == key && *cid == value => Ok(()),
        (told, tree) => {
            let path = told.map(|(path, _)| path).or(tree.map(|(key, _)| key)).cloned().unwrap_or_default();
            Err(Fault::Contents {
                path,
                tree: tree.map(|(_, value)| value),
                told: told.map(|(_, (cid, _))| *cid),
            })
        }
    }
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
