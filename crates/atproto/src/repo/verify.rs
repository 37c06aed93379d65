//! Checking what others signed.

use super::{Commit, CommitError, RepoOp};
use crate::car::Car;
use crate::crypto::PublicKey;
use crate::data::Cid;
use crate::mst::{BlockMap, Link, Mst, MstError, Place, Step, walk};
use crate::syntax::Did;
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
    /// An operation says something else than the tree.
    #[error("the operation on {0} is not what the tree shows")]
    Op(String),
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
    let [root] = car.roots.as_slice() else { return Err(VerifyError::Roots(car.roots.len())) };
    let commit = Commit::decode(car.blocks.get(root).ok_or(VerifyError::Missing(*root))?)?;
    if commit.did != *did {
        return Err(VerifyError::Did { expected: did.clone(), found: commit.did });
    }
    commit.verify(key)?;
    let mut records = Vec::new();
    for step in walk(&car.blocks, Link { cid: commit.data, place: Place(0) }, |_| true) {
        if let Step::Leaf { key, value } = step? {
            if !car.blocks.contains_key(&value) {
                return Err(VerifyError::Missing(value));
            }
            records.push((key, value));
        }
    }
    Ok(VerifiedRepo { commit, records })
}

/// Undoes `ops` on the tree at `root`, of which `blocks` holds at least the proof, and gives the root before them: it must
/// be the `prevData` that the commit claims.
pub fn invert(ops: &[RepoOp], root: Cid, blocks: &BlockMap) -> Result<Cid, VerifyError> {
    let mut tree = Mst::open(blocks, Link { cid: root, place: Place(0) });
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
