//! Blocks of a repo by CID.

use super::export::CarOut;
use crate::app::App;
use crate::error::{self, Error};
use crate::ports::{ByteStream, RepoId, Sql, SqlError, StreamJob};
use crate::store;
use crate::store::block::Search;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::once;
use rookery_atproto::data::Cid;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::IntoIter;

/// Streams blocks as a CAR without roots. The search comes first, as steps of the stream, and holds no bodies: whether all
/// blocks are there is known before anything of the answer goes out.
pub(crate) async fn stream(app: &App, repo: RepoId, cids: Vec<Cid>) -> error::Result<ByteStream> {
    let missing = Arc::new(Mutex::new(Vec::new()));
    let job = Blocks {
        repo,
        search: Search::new(repo, &cids),
        cids: cids.into_iter(),
        missing: Arc::clone(&missing),
        out: CarOut::new(&[]),
    };
    let mut chunks = app.ports.engine.stream(Box::new(job));
    loop {
        match chunks.next().await.transpose()? {
            Some(first) if first.is_empty() => {}
            Some(first) => return Ok(once(ready(Ok(first))).chain(chunks).boxed()),
            None => {
                let missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
                return Err(not_found(&missing));
            }
        }
    }
}

struct Blocks {
    repo: RepoId,
    search: Search,
    /// Those that are still to be sent.
    cids: IntoIter<Cid>,
    /// What was not found, once the search is over. Then nothing is sent.
    missing: Arc<Mutex<Vec<Cid>>>,
    out: CarOut,
}

impl StreamJob for Blocks {
    fn next(&mut self, sql: &dyn Sql) -> Result<Option<Bytes>, SqlError> {
        if !self.search.is_over() {
            self.search.go_on(sql)?;
        }
        if !self.search.is_over() {
            // An empty chunk tells whether anybody still waits.
            return Ok(Some(Bytes::new()));
        }
        if !self.search.missing().is_empty() {
            let missing = self.cids.by_ref().filter(|cid| self.search.missing().contains(cid)).collect();
            *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
            return Ok(None);
        }
        for cid in self.cids.by_ref() {
            let Some(kept) = self.search.found(&cid) else { continue };
            let full = self.out.block(&cid, &store::block::read(sql, self.repo, kept)?);
            if full.is_some() {
                return Ok(full);
            }
        }
        Ok(self.out.rest())
    }
}

/// Clients know the first words of the text.
fn not_found(missing: &[Cid]) -> Error {
    let cids: Vec<_> = missing.iter().map(Cid::to_string).collect();
    Error::named(
        "BlockNotFound",
        format!(
            "Could not find cids: {}. The repo's current commit has no such blocks; older ones are not kept.",
            cids.join(",")
        ),
    )
}
