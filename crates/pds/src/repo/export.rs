//! A repo as a CAR stream: one snapshot, read node by node, in bounded memory.

use crate::app::App;
use crate::config::limits;
use crate::error::{Result, too_many};
use crate::limits::{Client, Place};
use crate::ports::{ByteStream, RepoId, Row, Sql, SqlError, StreamJob, Value};
use crate::store;
use crate::store::tree::Nodes;
use bytes::Bytes;
use futures_util::StreamExt;
use rookery_atproto::car;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{Step, walk};
use rookery_atproto::syntax::Tid;

/// Bytes gathered before a chunk goes out.
const CHUNK: usize = 64 * 1024;

/// A CAR on its way out, in chunks of about [`CHUNK`] or one block.
pub(super) struct CarOut<'a> {
    buffer: Vec<u8>,
    send: &'a mut dyn FnMut(Bytes) -> Result<(), SqlError>,
}

impl<'a> CarOut<'a> {
    /// Begins with the header.
    pub(super) fn new(roots: &[Cid], send: &'a mut dyn FnMut(Bytes) -> Result<(), SqlError>) -> Self {
        let mut out = Self { buffer: empty_buffer(), send };
        out.buffer.extend_from_slice(&car::header(roots));
        out
    }

    /// Adds a block.
    pub(super) fn block(&mut self, cid: &Cid, block: &[u8]) -> Result<(), SqlError> {
        car::section(cid, block, &mut self.buffer);
        if self.buffer.len() < CHUNK {
            return Ok(());
        }
        (self.send)(Bytes::from(std::mem::replace(&mut self.buffer, empty_buffer())))
    }

    /// Sends what is left.
    pub(super) fn finish(self) -> Result<(), SqlError> {
        (self.send)(Bytes::from(self.buffer))
    }
}

fn empty_buffer() -> Vec<u8> {
    Vec::with_capacity(CHUNK + 4096)
}

/// A place for what an address is sent. Exports hold a thread and a snapshot each: nobody has all that there are.
pub(crate) fn place(app: &App, client: &Client) -> Result<Option<Place<u64>>> {
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
    let job: StreamJob = Box::new(move |sql, send| {
        let (head, recent) = store::repo::head_and_recent(sql, repo)?;
        let nodes = Nodes { sql, repo, recent: &recent };
        let mut out = CarOut::new(&[head.commit], send);
        if since.is_some_and(|since| since >= head.rev) {
            return out.finish();
        }
        out.block(&head.commit, &store::repo::commit_block(sql, repo)?)?;
        let mut failed = None;
        let descend = |link: &rookery_atproto::mst::Link| match since {
            None => true,
            Some(since) => match nodes.rev(&head, link.place) {
                Ok(rev) => rev > since,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            },
        };
        for step in walk(&nodes, head.root, descend) {
            match step.map_err(|error| SqlError::Other(error.to_string()))? {
                Step::Node { link, block } => out.block(&link.cid, &block)?,
                Step::Leaf { key, value } => {
                    record(sql, repo, &key, since, &mut |row| out.block(&value, row.blob(1)?))?
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => out.finish(),
        }
    });
    app.ports.engine.stream(job)
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
