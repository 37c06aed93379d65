//! Which blobs the records of a commit refer to: checked, and noted in the commit's own transaction.

use crate::config::limits;
use crate::error::{Error, Result, invalid_request};
use crate::ports::{RepoId, Sql, SqlError};
use crate::repo::commit::Write;
use crate::store;
use rookery_atproto::data::record::BlobRef;
use rookery_atproto::repo::RepoOp;
use rookery_atproto::syntax::Tid;

/// The writes of a batch after which references may be other ones. A new record without blobs is not among them.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<Change>);

#[derive(Debug)]
struct Change {
    /// Index of the write in its batch.
    at: usize,
    /// True when there was a record before.
    replaces: bool,
}

impl Changes {
    /// Looks at one operation of a commit, which comes from the write `at`.
    pub(crate) fn note(&mut self, op: &RepoOp, at: usize, writes: &[Write]) {
        let replaces = op.prev.is_some();
        if replaces || writes.get(at).is_some_and(|write| !write.blobs.is_empty()) {
            self.0.push(Change { at, replaces });
        }
    }

    /// Makes sure that every blob that is referred to is there and is what it is said to be.
    pub(crate) fn require(&self, sql: &dyn Sql, account: RepoId, writes: &[Write]) -> Result<()> {
        let blobs = self.0.iter().filter_map(|change| writes.get(change.at)).flat_map(|write| &write.blobs);
        for (count, blob) in blobs.enumerate() {
            if count == limits::COMMIT_BLOBS {
                return Err(invalid_request(format!(
                    "The records of one commit may refer to at most {} blobs. Write less at a time.",
                    limits::COMMIT_BLOBS
                )));
            }
            require_blob(sql, account, blob)?;
        }
        Ok(())
    }

    /// Notes what the records refer to from the revision `rev` on, in place of what those before them did.
    pub(crate) fn store(
        &self,
        sql: &dyn Sql,
        account: RepoId,
        rev: Tid,
        now: i64,
        writes: &[Write],
    ) -> Result<(), SqlError> {
        for Change { at, replaces } in &self.0 {
            let Some(write) = writes.get(*at) else { continue };
            let path = (write.collection.as_str(), write.rkey.as_str());
            if *replaces {
                store::blob::unrefer(sql, account, path, now)?;
            }
            for blob in &write.blobs {
                store::blob::refer(sql, account, path, rev, &blob.cid)?;
            }
        }
        Ok(())
    }
}

fn require_blob(sql: &dyn Sql, account: RepoId, blob: &BlobRef) -> Result<()> {
    let cid = blob.cid;
    let known = store::blob::get(sql, account, &cid)?.ok_or_else(|| {
        Error::named(
            "BlobNotFound",
            format!(
                "Could not find blob: {cid}. Upload it with com.atproto.repo.uploadBlob first; an upload that no record \
                 refers to is kept for a while only."
            ),
        )
    })?;
    if known.size != blob.size {
        return Err(Error::named(
            "InvalidSize",
            format!(
                "The blob {cid} has {} bytes, the record says {}. Use what its upload was answered with as it is.",
                known.size, blob.size
            ),
        ));
    }
    if known.mime_type != blob.mime_type {
        return Err(Error::named(
            "InvalidMimeType",
            format!(
                "The blob {cid} was uploaded as {}, the record says {}. Use what its upload was answered with as it is.",
                known.mime_type, blob.mime_type
            ),
        ));
    }
    Ok(())
}
