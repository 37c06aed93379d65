//! `com.atproto.repo.putRecord`: a record under a known key, new or in place of the one there. A put that changes nothing
//! makes no commit.

use super::write_input::{self, Written, uri, validation_status};
use crate::app::App;
use crate::config::limits;
use crate::error::Result;
use crate::http::reply::Json;
use crate::repo::commit::{Batch, Write, commit};
use crate::repo::record::encode;
use axum::extract::{Request, State};
use rookery_atproto::repo::Action;
use rookery_atproto::syntax::{Nsid, RecordKey};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Written>> {
    let (agent, mut input) = write_input::read(&app, request, limits::RECORD_BODY).await?;
    let validation_status = validation_status(&input)?;
    let collection: Nsid = input.required("collection")?;
    let rkey: RecordKey = input.required("rkey")?;
    // Null means that there must be no record yet.
    let swap = if input.is_null("swapRecord") { Some(None) } else { input.optional("swapRecord")?.map(Some) };
    let swap_commit = input.optional("swapCommit")?;
    let record = encode(&collection, &input.take_required("record")?)?;

    let (cid, uri) = (record.cid, uri(&agent, &collection, &rkey));
    let write = Write { swap, ..Write::of(collection, rkey, record, Action::Put) };
    let commit = commit(&app, &agent, Batch { writes: vec![write], swap_commit }).await?;
    Ok(Json(Written { uri, cid, commit, validation_status }))
}
