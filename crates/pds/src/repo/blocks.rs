//! Blocks of a repo by CID.

use super::export::CarOut;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{ByteStream, RepoId, StreamJob};
use crate::store;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::once;
use rookery_atproto::data::Cid;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

/// Streams blocks as a CAR without roots. The search comes first, on the stream's thread, and holds no bodies: whether all
/// blocks are there is known before anything of the answer goes out.
pub(crate) async fn stream(app: &App, repo: RepoId, cids: Vec<Cid>) -> Result<ByteStream> {
    let missing = Arc::new(Mutex::new(Vec::new()));
    let found_missing = Arc::clone(&missing);
    let job: StreamJob = Box::new(move |sql, send| {
        // An empty chunk tells whether anybody still waits.
        let kept = store::block::locate(sql, repo, &cids, &mut || send(Bytes::new()))?;
        let absent: Vec<_> = cids.iter().filter(|cid| !kept.contains_key(cid)).copied().collect();
        if !absent.is_empty() {
            *found_missing.lock().unwrap_or_else(PoisonError::into_inner) = absent;
            return Ok(());
        }
        let mut out = CarOut::new(&[], send);
        for cid in &cids {
            if let Some(kept) = kept.get(cid) {
                out.block(cid, &store::block::read(sql, repo, kept)?)?;
            }
        }
        out.finish()
    });
    let mut chunks = app.ports.engine.stream(job);
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
