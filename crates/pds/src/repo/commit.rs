//! Committing: prepare on a snapshot, apply in one transaction.
//!
//! The account's turn is held from the first read to the answer, so writes of one account are serial and the head that was
//! read is the head that is swapped. The compare-and-swap is there all the same: nothing is lost when a turn is not
//! exclusive on some host.

use crate::app::App;
use crate::blob::references;
use crate::config::limits;
use crate::error::{Error, Result, internal, invalid_request, invalid_swap, record_not_found};
use crate::http::auth::{Agent, UsedProof};
use crate::limits::{account_key, points};
use crate::ports::{EngineError, Mode, RepoId, Sql, SqlError, run};
use crate::repo::record::Encoded;
use crate::sequencer::emit::datetime;
use crate::store;
use crate::store::account::Status;
use crate::store::tree::{Nodes, TreeChange};
use bytes::Bytes;
use http::StatusCode;
use rookery_atproto::data::Cid;
use rookery_atproto::data::record::BlobRef;
use rookery_atproto::event::{self, CommitEvent, Unsequenced};
use rookery_atproto::mst::MstError;
use rookery_atproto::repo::{self, Action, ApplyError, Head};
use rookery_atproto::syntax::{Nsid, RecordKey, Tid};
use std::sync::Arc;

/// Times a write is prepared anew when the head moved under it.
const ATTEMPTS: usize = 3;

/// One write of a batch.
#[derive(Debug)]
pub(crate) struct Write {
    pub collection: Nsid,
    pub rkey: RecordKey,
    /// What is to be there afterwards.
    pub action: Action,
    /// The record itself, unless it is a delete.
    pub body: Option<Vec<u8>>,
    /// The blobs that it refers to.
    pub blobs: Vec<BlobRef>,
    /// `swapRecord`.
    pub swap: Option<Option<Cid>>,
}

impl Write {
    /// A write of a record; `action` says how.
    pub(crate) fn of(collection: Nsid, rkey: RecordKey, record: Encoded, action: fn(Cid) -> Action) -> Self {
        let Encoded { cid, body, blobs } = record;
        Self { collection, rkey, action: action(cid), body: Some(body), blobs, swap: None }
    }

    /// A delete.
    pub(crate) fn delete(collection: Nsid, rkey: RecordKey) -> Self {
        Self { collection, rkey, action: Action::Delete, body: None, blobs: Vec::new(), swap: None }
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection, self.rkey)
    }
}

/// Writes that become one commit, or nothing.
#[derive(Debug)]
pub(crate) struct Batch {
    pub writes: Vec<Write>,
    /// `swapCommit`.
    pub swap_commit: Option<Cid>,
}

/// The commit that was made: `com.atproto.repo.defs#commitMeta`.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Committed {
    pub cid: Cid,
    pub rev: Tid,
}

/// Everything that one commit stores.
struct Prepared {
    since: Tid,
    head: Head,
    commit_block: Bytes,
    tree: TreeChange,
    /// What happens to records.
    records: Vec<RecordChange>,
    /// What of them concerns blobs.
    references: references::Changes,
    collections: store::collection::Touched,
    /// What the firehose tells of it.
    event: Unsequenced,
    /// When, in microseconds.
    now: i64,
}

/// What happens to a record, by the index of the last write to its path in the batch.
enum RecordChange {
    Put(usize),
    Delete(usize),
}

/// Why a prepared commit was not stored.
#[derive(Debug, thiserror::Error)]
enum NotStored {
    #[error("the head moved, or the account was stopped")]
    Stale,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<EngineError> for NotStored {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SqlError> for NotStored {
    fn from(error: SqlError) -> Self {
        Self::Failed(error.into())
    }
}

/// Writes a batch into the agent's repo. `None` when nothing changed: then there is no commit. The agent's proof is
/// consumed in the same transaction.
pub(crate) async fn commit(app: &Arc<App>, agent: &Agent, batch: Batch) -> Result<Option<Committed>> {
    if batch.writes.len() > limits::WRITES {
        return Err(invalid_request(format!("Too many writes. Max: {}", limits::WRITES)));
    }
    let (repo, proof) = (agent.account, agent.proof);
    // The first point was taken with the proof.
    let cost = batch.writes.iter().map(|write| points(write.action)).sum::<u32>().saturating_sub(1);
    agent.client.charge_to(&app.limits.writes, account_key(repo), cost, app.now_micros())?;
    let batch = Arc::new(batch);
    let _turn = app.ports.engine.turn(repo).await;
    for _ in 0..ATTEMPTS {
        let prepared = {
            let (app, batch) = (Arc::clone(app), Arc::clone(&batch));
            app.clone().read(move |sql| prepare(&app, sql, repo, &batch)).await?
        };
        let Some(prepared) = prepared else {
            app.write(move |sql| proof.consume(sql)).await?;
            return Ok(None);
        };
        let committed = Committed { cid: prepared.head.commit, rev: prepared.head.rev };
        let batch = Arc::clone(&batch);
        let stored = run(app.ports.engine.as_ref(), Mode::Write, move |sql| {
            store_prepared(sql, repo, proof, &batch, &prepared)
        });
        match stored.await {
            Ok(()) => return Ok(Some(committed)),
            Err(NotStored::Stale) => {}
            Err(NotStored::Failed(error)) => return Err(error),
        }
    }
    Err(Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ConcurrentWrites",
        "Other writes to this repo came in between each time; nothing was changed. Try again.",
    ))
}

/// Reads the head and the path through the tree, and works out everything that the commit stores.
fn prepare(app: &App, sql: &dyn Sql, repo: RepoId, batch: &Batch) -> Result<Option<Prepared>> {
    let writable = store::repo::writable(sql, repo)?
        .ok_or_else(|| internal(format!("account {} has no repo", repo.0)))?;
    require_active(writable.status)?;
    let head = writable.head;
    if batch.swap_commit.is_some_and(|expected| expected != head.commit) {
        return Err(invalid_swap(format!(
            "Commit was at {}. Read the repo again and retry on top of it.",
            head.commit
        )));
    }
    let key = app.sealer.open_key(writable.did.as_str(), &writable.signing_key)?;
    let now = app.now_micros();
    let rev = app.tids.next_after(now.unsigned_abs(), Some(head.rev));
    let writes: Vec<repo::Write> = batch
        .writes
        .iter()
        .map(|write| repo::Write { path: write.path(), action: write.action, swap: write.swap })
        .collect();
    let nodes = Nodes { sql, repo, recent: &writable.recent };
    let applied = repo::apply(nodes, &head, &writes, &writable.did, rev, &key)
        .map_err(|error| refused(&writable.did, error))?;
    let Some(mut applied) = applied else { return Ok(None) };

    let mut records = Vec::with_capacity(applied.ops.len());
    let mut bodies = Vec::with_capacity(applied.ops.len());
    let mut references = references::Changes::default();
    for op in &applied.ops {
        // The last write to a path is the one that counts.
        let last = writes.iter().rposition(|write| write.path == op.path);
        let at = last.ok_or_else(|| internal("an operation without its write"))?;
        references.note(op, at, &batch.writes);
        let Some(cid) = op.cid else {
            records.push(RecordChange::Delete(at));
            continue;
        };
        let body = batch.writes.get(at).and_then(|write| write.body.as_deref());
        bodies.push((cid, body.ok_or_else(|| internal("a record without its body"))?));
        records.push(RecordChange::Put(at));
    }
    references.require(sql, repo, &batch.writes)?;
    let blocks = applied.diff(bodies.into_iter()).map_err(|error| internal(error.to_string()))?;
    if blocks.len() > limits::COMMIT_BLOCKS {
        return Err(invalid_request(format!(
            "The commit would have {} bytes of new blocks, the network takes at most {}. Write less at a time.",
            blocks.len(),
            limits::COMMIT_BLOCKS
        )));
    }
    let event = event::commit(&CommitEvent {
        repo: &writable.did,
        commit: applied.head.commit,
        rev,
        since: applied.since,
        prev_data: applied.prev_data,
        ops: &applied.ops,
        blocks: &blocks,
        time: &datetime(now),
    });
    let collections = store::collection::touched(&applied.ops);
    let (new_head, commit_block, change) = applied.into_stored();
    Ok(Some(Prepared {
        since: head.rev,
        head: new_head,
        commit_block,
        tree: writable.recent.follow(head.rev, change, rev),
        records,
        references,
        collections,
        event,
        now,
    }))
}

/// Stores a prepared commit, if the head is still the one it was prepared on.
fn store_prepared(
    sql: &dyn Sql,
    repo: RepoId,
    proof: UsedProof,
    batch: &Batch,
    prepared: &Prepared,
) -> Result<(), NotStored> {
    let head = &prepared.head;
    let (block, tree) = (&prepared.commit_block, &prepared.tree);
    if !store::repo::swap_head(sql, repo, prepared.since, head, block, &tree.recent)? {
        return Err(NotStored::Stale);
    }
    proof.consume(sql)?;
    store::event::append(sql, repo, prepared.now, &prepared.event)?;
    store::tree::write(sql, repo, tree)?;
    for change in &prepared.records {
        let (RecordChange::Put(at) | RecordChange::Delete(at)) = change;
        let write = batch.writes.get(*at).ok_or_else(|| internal("a record change without its write"))?;
        let path = (write.collection.as_str(), write.rkey.as_str());
        match (change, write.action, &write.body) {
            (RecordChange::Delete(_), ..) => store::record::delete(sql, repo, path)?,
            (
                RecordChange::Put(_),
                Action::Create(cid) | Action::Update(cid) | Action::Put(cid),
                Some(body),
            ) => {
                store::record::put(sql, repo, path, head.rev, &cid, body)?;
            }
            (RecordChange::Put(_), ..) => return Err(internal("a record change without its record").into()),
        }
    }
    store::collection::update(sql, repo, &prepared.collections)?;
    prepared.references.require(sql, repo, &batch.writes)?;
    prepared.references.store(sql, repo, head.rev, prepared.now, &batch.writes)?;
    Ok(())
}

/// Refuses writes to an account that is not active.
pub(crate) fn require_active(status: Status) -> Result<()> {
    match status {
        Status::Active => Ok(()),
        Status::Deactivated => {
            Err(Error::named("AccountDeactivated", "Account is deactivated. Activate it before writing."))
        }
        Status::Suspended | Status::Takendown => Err(Error::new(
            StatusCode::FORBIDDEN,
            "AccountTakedown",
            "The operator has stopped this account. Ask the operator.",
        )),
        Status::Deleted => {
            Err(Error::new(StatusCode::UNAUTHORIZED, "AccountNotFound", "This account was deleted."))
        }
    }
}

/// An error of the repo's rules, as the client sees it.
fn refused(did: impl std::fmt::Display, error: ApplyError<SqlError>) -> Error {
    match error {
        ApplyError::Exists(path) => Error::new(
            StatusCode::CONFLICT,
            "RecordAlreadyExists",
            format!(
                "There is a record at at://{did}/{path} already. Use putRecord to replace it, or another rkey."
            ),
        ),
        ApplyError::Missing(path) => match path.split_once('/') {
            Some((collection, rkey)) => record_not_found(did, collection, rkey),
            None => internal("a path without a slash"),
        },
        ApplyError::Swap { path, found } => invalid_swap(match found {
            Some(cid) => format!("Record at at://{did}/{path} was {cid}. Read it again and retry."),
            None => format!("There is no record at at://{did}/{path}."),
        }),
        ApplyError::Mst(error @ (MstError::Full(_) | MstError::Key(_))) => invalid_request(error.to_string()),
        other => internal(other.to_string()),
    }
}
