//! Events of the firehose, `com.atproto.sync.subscribeRepos` (event stream spec, "Framing"; sync spec).
//!
//! A *frame* is two DAG-CBOR objects one after the other: a header that says what follows, and a body. All bodies of
//! events have a `seq`, which is known only when the event takes its place in the log, while the rest is known when the
//! commit is prepared. So an event is encoded once, as an [`Unsequenced`] frame with a gap, and [`Unsequenced::frame`]
//! puts the number into the gap. Keys are in canonical order, which is why the gap is in the middle.

#[cfg(test)]
mod tests;

use crate::data::Cid;
use crate::data::cbor::{CborError, Reader, Writer};
use crate::repo::RepoOp;
use crate::syntax::{Did, Handle, Tid};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Operations of one `#commit` at most (lexicon).
pub const MAX_OPS: usize = 200;
/// Bytes of `blocks` in one `#commit` at most (lexicon).
pub const MAX_COMMIT_BLOCKS: usize = 2_000_000;

/// A frame that lacks only its `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsequenced<B = Bytes> {
    /// Header and body, without the number.
    pub bytes: B,
    /// Where in `bytes` the number goes.
    pub gap: usize,
}

impl<B: AsRef<[u8]>> Unsequenced<B> {
    /// The frame of the event that has become number `seq`. None when the gap is not inside the bytes.
    pub fn frame(&self, seq: u64) -> Option<Vec<u8>> {
        let (before, after) = self.bytes.as_ref().split_at_checked(self.gap)?;
        let mut out = Writer::with_capacity(before.len() + after.len() + 9);
        out.encoded(before);
        out.uint(seq);
        out.encoded(after);
        Some(out.into_bytes())
    }
}

/// A commit, as `#commit` tells it.
#[derive(Clone, Copy, Debug)]
pub struct CommitEvent<'a> {
    /// Whose repo.
    pub repo: &'a Did,
    /// The new commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// The revision before; none for the first commit.
    pub since: Option<Tid>,
    /// The root of the tree before; none for the first commit.
    pub prev_data: Option<Cid>,
    /// What changed, at most [`MAX_OPS`].
    pub ops: &'a [RepoOp],
    /// A CAR with the commit as its root, at most [`MAX_COMMIT_BLOCKS`] bytes: see [`Applied::diff`](crate::repo::Applied::diff).
    pub blocks: &'a [u8],
    /// When, in the datetime format of atproto.
    pub time: &'a str,
}

/// `#commit`: new records in a repo.
pub fn commit(event: &CommitEvent<'_>) -> Unsequenced {
    let mut out = header("#commit", event.blocks.len() + 512 + event.ops.len() * 256);
    out.map(11 + usize::from(event.prev_data.is_some()));
    out.text("ops");
    out.array(event.ops.len());
    for op in event.ops {
        repo_op(&mut out, op);
    }
    out.text("rev");
    out.text(&event.rev.to_string());
    let gap = seq(&mut out);
    out.text("repo");
    out.text(event.repo.as_str());
    out.text("time");
    out.text(event.time);
    out.text("blobs");
    out.array(0);
    out.text("since");
    match event.since {
        Some(since) => out.text(&since.to_string()),
        None => out.null(),
    }
    out.text("blocks");
    out.bytes(event.blocks);
    out.text("commit");
    out.link(&event.commit);
    out.text("rebase");
    out.bool(false);
    out.text("tooBig");
    out.bool(false);
    if let Some(root) = &event.prev_data {
        out.text("prevData");
        out.link(root);
    }
    Unsequenced { bytes: out.into_bytes().into(), gap }
}

/// `cid` is null for a delete; `prev` is there for updates and deletes.
fn repo_op(out: &mut Writer, op: &RepoOp) {
    out.map(3 + usize::from(op.prev.is_some()));
    out.text("cid");
    out.link_or_null(op.cid.as_ref());
    out.text("path");
    out.text(&op.path);
    if let Some(prev) = &op.prev {
        out.text("prev");
        out.link(prev);
    }
    out.text("action");
    out.text(match (op.cid, op.prev) {
        (Some(_), None) => "create",
        (Some(_), Some(_)) => "update",
        (None, _) => "delete",
    });
}

/// `#sync`: where a repo is, whatever was told of it before. `blocks` is a CAR of the commit alone.
pub fn sync(did: &Did, rev: Tid, blocks: &[u8], time: &str) -> Unsequenced {
    let mut out = header("#sync", blocks.len() + 256);
    out.map(5);
    out.text("did");
    out.text(did.as_str());
    out.text("rev");
    out.text(&rev.to_string());
    let gap = seq(&mut out);
    out.text("time");
    out.text(time);
    out.text("blocks");
    out.bytes(blocks);
    Unsequenced { bytes: out.into_bytes().into(), gap }
}

/// `#identity`: the DID document or the handle may have changed.
pub fn identity(did: &Did, handle: Option<&Handle>, time: &str) -> Unsequenced {
    let mut out = header("#identity", 256);
    out.map(3 + usize::from(handle.is_some()));
    out.text("did");
    out.text(did.as_str());
    let gap = seq(&mut out);
    out.text("time");
    out.text(time);
    if let Some(handle) = handle {
        out.text("handle");
        out.text(handle.as_str());
    }
    Unsequenced { bytes: out.into_bytes().into(), gap }
}

/// `#account`: whether the repo is served here; `status` says why not, and is none for an active account.
pub fn account(did: &Did, status: Option<&str>, time: &str) -> Unsequenced {
    let mut out = header("#account", 256);
    out.map(4 + usize::from(status.is_some()));
    out.text("did");
    out.text(did.as_str());
    let gap = seq(&mut out);
    out.text("time");
    out.text(time);
    out.text("active");
    out.bool(status.is_none());
    if let Some(status) = status {
        out.text("status");
        out.text(status);
    }
    Unsequenced { bytes: out.into_bytes().into(), gap }
}

/// The collections in which an event creates or deletes records: those of a `#commit`, none of others. Reads only as far as it
/// must, so the event may be an [`Unsequenced`] one.
pub fn touched_collections(event: &[u8]) -> Result<BTreeSet<&str>, CborError> {
    let mut input = Reader::new(event);
    let mut touched = BTreeSet::new();
    input.map()?;
    input.expect_key("t")?;
    if input.text()? != "#commit" {
        return Ok(touched);
    }
    input.expect_key("op")?;
    input.uint()?;
    input.map()?;
    input.expect_key("ops")?;
    for _ in 0..input.array()? {
        let (mut path, mut previous, mut updates) = ("", None, false);
        for _ in 0..input.map()? {
            let key = input.key(previous)?;
            previous = Some(key);
            match key {
                "path" => path = input.text()?,
                "action" => updates = input.text()? == "update",
                _ => drop(input.link_or_null()?),
            }
        }
        if let Some((collection, _)) = path.split_once('/').filter(|_| !updates) {
            touched.insert(collection);
        }
    }
    Ok(touched)
}

/// A whole `#info` frame; it has no number.
pub fn info(name: &str, message: &str) -> Vec<u8> {
    let mut out = header("#info", 256);
    out.map(2);
    out.text("name");
    out.text(name);
    out.text("message");
    out.text(message);
    out.into_bytes()
}

/// A whole error frame, after which the stream is closed.
pub fn error(name: &str, message: &str) -> Vec<u8> {
    let mut out = Writer::with_capacity(256);
    out.map(1);
    out.text("op");
    out.int(-1);
    out.map(2);
    out.text("error");
    out.text(name);
    out.text("message");
    out.text(message);
    out.into_bytes()
}

fn header(kind: &str, capacity: usize) -> Writer {
    let mut out = Writer::with_capacity(capacity);
    out.map(2);
    out.text("t");
    out.text(kind);
    out.text("op");
    out.uint(1);
    out
}

/// The key; the value's place is returned.
fn seq(out: &mut Writer) -> usize {
    out.text("seq");
    out.as_bytes().len()
}
