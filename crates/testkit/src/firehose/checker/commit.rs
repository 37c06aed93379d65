//! What can be said of a `#commit` by itself.

use super::{Fault, read_car};
use crate::firehose::frame;
use bytes::Bytes;
use rookery_atproto::car::Car;
use rookery_atproto::crypto::PublicKey;
use rookery_atproto::data::record::{MAX_RECORD_BYTES, check_record};
use rookery_atproto::data::{Cid, Codec, cbor};
use rookery_atproto::repo::{Commit, RepoOp, VerifyError, verify_commit_diff};
use rookery_atproto::syntax::{Did, Tid};

/// A `#commit` that holds by itself: signed, and its operations undone give the tree that it says was there before.
pub(super) struct Claim {
    pub(super) cid: Cid,
    pub(super) commit: Commit,
    pub(super) since: Option<Tid>,
    pub(super) prev_data: Option<Cid>,
    pub(super) ops: Vec<RepoOp>,
    pub(super) car: Car,
}

impl Claim {
    pub(super) fn read(told: &frame::Commit, did: &Did, key: &PublicKey) -> Result<Self, Fault> {
        let car = read_car(&told.blocks)?;
        let [root] = car.roots.as_slice() else { return Err(VerifyError::Roots(car.roots.len()).into()) };
        if *root != told.commit {
            return Err(Fault::Root { told: told.commit, found: *root });
        }
        let ops = told.ops.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
        let commit = verify_commit_diff(&car, &ops, told.prev_data, did, key)?;
        if commit.rev != told.rev {
            return Err(Fault::Rev { told: told.rev, found: commit.rev });
        }
        if let Some(prev) = commit.prev {
            return Err(Fault::Prev(prev));
        }
        for op in &ops {
            if let Some(cid) = op.cid {
                let block = car.blocks.get(&cid).ok_or(VerifyError::Missing(cid))?;
                check_one(&op.path, &cid, block)
                    .map_err(|why| Fault::Record { path: op.path.clone(), why })?;
            }
        }
        let claim = Self { cid: told.commit, commit, since: told.since, prev_data: told.prev_data, ops, car };
        Ok(claim)
    }

    /// The block of a record or commit that was found before.
    pub(super) fn block(&self, cid: &Cid) -> Result<Bytes, Fault> {
        Ok(self.car.blocks.get(cid).cloned().ok_or(VerifyError::Missing(*cid))?)
    }
}

/// The operation, if its parts go together.
fn operation(op: &frame::Op) -> Result<RepoOp, Fault> {
    match (op.action.as_str(), op.cid, op.prev) {
        ("create", Some(_), None) | ("delete", None, Some(_)) => {}
        ("update", Some(cid), Some(prev)) if cid == prev => return Err(Fault::Unchanged(op.path.clone())),
        ("update", Some(_), Some(_)) => {}
        _ => {
            let (path, action) = (op.path.clone(), op.action.clone());
            return Err(Fault::Action { path, action, cid: op.cid.is_some(), prev: op.prev.is_some() });
        }
    }
    Ok(RepoOp { path: op.path.clone(), cid: op.cid, prev: op.prev })
}

/// The limits on a record, and that it is of its collection.
fn check_one(path: &str, cid: &Cid, block: &[u8]) -> Result<(), String> {
    if cid.codec() != Codec::DagCbor {
        return Err("its CID is not of DAG-CBOR".to_owned());
    }
    if block.len() > MAX_RECORD_BYTES {
        return Err(format!("it has {} bytes, more than {MAX_RECORD_BYTES}", block.len()));
    }
    let value = cbor::decode(block).map_err(|error| error.to_string())?;
    let info = check_record(&value).map_err(|error| error.to_string())?;
    let collection = path.split('/').next().unwrap_or_default();
    if info.type_.as_str() == collection { Ok(()) } else { Err(format!("its $type is {}", info.type_)) }
}
