//! A repo as a CAR stream: one snapshot, read node by node, in bounded memory.

use crate::app::App;
use crate::config::limits;
use crate::error::{self, too_many};
use crate::limits::{Client, Place};
use crate::ports::{ByteStream, RepoId, Row, Sql, SqlError, StreamJob, Value};
use crate::store;
use crate::store::tree::{Nodes, Recent};
use bytes::Bytes;
use futures_util::StreamExt;
use rookery_atproto::car;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{Link, Step, Walk};
use rookery_atproto::repo::Head;
use rookery_atproto::syntax::Tid;

/// Bytes gathered before a chunk goes out.
const CHUNK: usize = 64 * 1024;

/// A CAR on its way out, in chunks of about [`CHUNK`] or one block.
pub(super) struct CarOut(Vec<u8>);

impl CarOut {
    /// Begins with the header.
    pub(super) fn new(roots: &[Cid]) -> Self {
        let mut buffer = empty_buffer();
        buffer.extend_from_slice(&car::header(roots));
        Self(buffer)
    }

    /// Adds a block. Returns the chunk that this made full.
    pub(super) fn block(&mut self, cid: &Cid, block: &[u8]) -> Option<Bytes> {
        car::section(cid, block, &mut self.0);
        (self.0.len() >= CHUNK).then(|| Bytes::from(std::mem::replace(&mut self.0, empty_buffer())))
    }

    /// What is left, once.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| Bytes::from(std::mem::take(&mut self.0)))
    }
}

fn empty_buffer() -> Vec<u8> {
    Vec::with_capacity(CHUNK + 4096)
}

/// A place for what an address is sent. Exports hold a thread and a snapshot each: nobody has all that there are.
pub(crate) fn place(app: &App, client: &Client) -> error::Result<Option<Place<u64>>> {
    let place = client.address.map(|address| app.exports.enter(Some(address), 1)).transpose();
    place.map_err(|_| {
        too_many(format!(
            "{} exports to this address are in progress already. Wait until one has ended.",
            limits::EXPORTS
        ))
    })
}

/// Keeps the place for as long as somebody may read.
pub(crate) fn keep(place: Option<Place<u64>>, chunks: ByteStream) -> ByteStream {
    chunks.inspect(move |_| _ = &place).boxed()
}

/// Streams the repo: the commit, then the tree in order with each record after its entry. With `since`, only
/// what was written after that revision; a subtree that was not rewritten is not visited.
pub(crate) fn stream(app: &App, repo: RepoId, since: Option<Tid>) -> ByteStream {
    app.ports.engine.stream(Box::new(Export { repo, since, under_way: None }))
}

struct Export {
    repo: RepoId,
    since: Option<Tid>,
    /// From the first step on.
    under_way: Option<UnderWay>,
}

struct UnderWay {
    head: Head,
    recent: Recent,
    /// What is still to come of the tree; `None` if all of it is too old.
    walk: Option<Walk>,
    out: CarOut,
}

impl StreamJob for Export {
    fn next(&mut self, sql: &dyn Sql) -> Result<Option<Bytes>, SqlError> {
        let (repo, since) = (self.repo, self.since);
        let UnderWay { head, recent, walk, out } = match &mut self.under_way {
            Some(under_way) => under_way,
            none => none.insert(begin(sql, repo, since)?),
        };
        let nodes = Nodes { sql, repo, recent };
        let descend = |link: &Link| match since {
            None => Ok(true),
            Some(since) => Ok(nodes.rev(head, link.place)? > since),
        };
        while let Some(walk) = walk {
            let step = walk.next(&nodes, descend).map_err(|error| SqlError::Other(error.to_string()))?;
            let mut full = None;
            match step {
                Some(Step::Node { link, block }) => full = out.block(&link.cid, &block),
                Some(Step::Leaf { key, value }) => record(sql, repo, &key, since, &mut |row| {
                    full = out.block(&value, row.blob(1)?);
                    Ok(())
                })?,
                None => break,
            }
            if full.is_some() {
                return Ok(full);
            }
        }
        Ok(out.rest())
    }
}

/// Reads the head, and sends the commit unless it is too old.
fn begin(sql: &dyn Sql, repo: RepoId, since: Option<Tid>) -> Result<UnderWay, SqlError> {
    let (head, recent) = store::repo::head_and_recent(sql, repo)?;
    let mut under_way = UnderWay { head, recent, walk: None, out: CarOut::new(&[head.commit]) };
    if since.is_none_or(|since| since < head.rev) {
        // A commit is far smaller than a chunk.
        under_way.out.block(&head.commit, &store::repo::commit_block(sql, repo)?);
        under_way.walk = Some(Walk::new(head.root));
    }
    Ok(under_way)
}

/// Calls `each` with the record at a path, unless it is older than `since`.
fn record(
    sql: &dyn Sql,
    repo: RepoId,
    path: &str,
    since: Option<Tid>,
    each: &mut dyn FnMut(&dyn Row) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let (collection, rkey) = path.split_once('/').ok_or_else(|| SqlError::Other(format!("path {path}")))?;
    let since = since.map(|since| since.to_string());
    sql.query(
        "SELECT rev, body FROM record WHERE account = ?1 AND collection = ?2 AND rkey = ?3 AND rev > ?4",
        &[
            Value::Int(repo.0),
            Value::Text(collection),
            Value::Text(rkey),
            Value::Text(since.as_deref().unwrap_or("")),
        ],
        each,
    )
}
