//! Checking what others signed.

use super::apply::is_record_path;
use super::{Commit, CommitError, RepoOp};
use crate::car::Car;
use crate::crypto::PublicKey;
use crate::data::Cid;
use crate::mst::{BlockMap, Link, Mst, MstError, Step, walk};
use crate::syntax::Did;
use std::collections::HashSet;
use std::convert::Infallible;

/// What is wrong with a repo or a commit's operations.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The CAR must have exactly one root, the commit.
    #[error("a repo has one root, this CAR has {0}")]
    Roots(usize),
    /// A block that is needed is not there.
    #[error("the block {0} is missing")]
    Missing(Cid),
    /// The commit is malformed or not signed by the account's key.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The commit is another account's.
    #[error("the commit is of {found}, not of {expected}")]
    Did {
        /// Whose repo it should be.
        expected: Did,
        /// Whose it says it is.
        found: Did,
    },
    /// The tree is not canonical, or incomplete.
    #[error(transparent)]
    Mst(#[from] MstError<Infallible>),
    /// A key of the tree that is no collection and record key.
    #[error("{0} is not the path of a record")]
    Path(String),
    /// An operation says something else than the tree.
    #[error("the operation on {0} is not what the tree shows")]
    Op(String),
    /// Two operations on one path.
    #[error("{0} has more than one operation")]
    Repeated(String),
    /// The operations undone do not give the tree that is said to have been there before.
    #[error("without the operations the tree is {found}, which is not what was there before: {expected}")]
    PrevData {
        /// What is claimed or known.
        expected: Cid,
        /// What comes out.
        found: Cid,
    },
}

/// A repo that holds.
#[derive(Debug)]
pub struct VerifiedRepo {
    /// Its commit.
    pub commit: Commit,
    /// Path and CID of every record, in order; the block of each is in the CAR.
    pub records: Vec<(String, Cid)>,
}

/// Checks a full export: one root, the commit's signature by `key`, its DID, a canonical tree, and every record there. The
/// hashes were checked when the CAR was read.
pub fn verify_repo(car: &Car, did: &Did, key: &PublicKey) -> Result<VerifiedRepo, VerifyError> {
    let commit = verify_commit(car, did, key)?;
    let mut records = Vec::new();
    for step in walk(&car.blocks, Link::to_cid(commit.data), |_| true) {
        if let Step::Leaf { key, value } = step? {
            if !is_record_path(&key) {
                return Err(VerifyError::Path(key));
            }
            if !car.blocks.contains_key(&value) {
                return Err(VerifyError::Missing(value));
            }
            records.push((key, value));
        }
    }
    Ok(VerifiedRepo { commit, records })
}

/// Checks one commit as the firehose brings it (sync spec, "Message Validation Checklist"): `car` holds the commit, which is
/// its root, the records that are new, and the nodes that prove `ops`, which must lead from `prev_data` to the commit's
/// tree and be all there is between them. `prev_data` is the root before, none for the first commit of a repo. That it, and
/// the revision, follow on what the caller knows of the repo is the caller's to check.
pub fn verify_commit_diff(
    car: &Car,
    ops: &[RepoOp],
    prev_data: Option<Cid>,
    did: &Did,
    key: &PublicKey,
) -> Result<Commit, VerifyError> {
    let commit = verify_commit(car, did, key)?;
    let mut seen = HashSet::new();
    for op in ops {
        if !is_record_path(&op.path) {
            return Err(VerifyError::Path(op.path.clone()));
        }
        if !seen.insert(op.path.as_str()) {
            return Err(VerifyError::Repeated(op.path.clone()));
        }
        if let Some(cid) = op.cid.filter(|cid| !car.blocks.contains_key(cid)) {
            return Err(VerifyError::Missing(cid));
        }
    }
    let expected = match prev_data {
        Some(root) => root,
        None => Mst::empty(&car.blocks).root_cid()?,
    };
    let found = invert(ops, commit.data, &car.blocks)?;
    if found == expected { Ok(commit) } else { Err(VerifyError::PrevData { expected, found }) }
}

/// Checks the commit that is the one root of a CAR.
fn verify_commit(car: &Car, did: &Did, key: &PublicKey) -> Result<Commit, VerifyError> {
    let [root] = car.roots.as_slice() else { return Err(VerifyError::Roots(car.roots.len())) };
    let commit = Commit::decode(car.blocks.get(root).ok_or(VerifyError::Missing(*root))?)?;
    if commit.did != *did {
        return Err(VerifyError::Did { expected: did.clone(), found: commit.did });
    }
    commit.verify(key)?;
    Ok(commit)
}

/// Undoes `ops` on the tree at `root`, of which `blocks` holds at least the proof, and gives the root before them: it must
/// be the `prevData` that the commit claims.
pub fn invert(ops: &[RepoOp], root: Cid, blocks: &BlockMap) -> Result<Cid, VerifyError> {
    let mut tree = Mst::open(blocks, Link::to_cid(root));
    for op in ops.iter().rev() {
        let path = op.path.as_str();
        let found = match (op.cid, op.prev) {
            (Some(_), None) => Some(tree.delete(path)?),
            (Some(_), Some(prev)) => Some(tree.update(path, prev)?),
            (None, Some(prev)) => {
                tree.insert(path, prev)?;
                None
            }
            (None, None) => return Err(VerifyError::Op(op.path.clone())),
        };
        if found != op.cid {
            return Err(VerifyError::Op(op.path.clone()));
        }
    }
    Ok(tree.root_cid()?)
}

#[cfg(test)]
mod tests;
