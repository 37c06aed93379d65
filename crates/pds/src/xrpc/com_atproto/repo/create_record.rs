//! `com.atproto.repo.createRecord`: a new record, under a generated key unless one is given.

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
    let rkey = match input.optional("rkey")? {
        Some(rkey) => rkey,
        None => RecordKey::from(app.tids.next(app.now_micros().unsigned_abs())),
    };
    let swap_commit = input.optional("swapCommit")?;
    let record = encode(&collection, &input.take_required("record")?)?;

    let (cid, uri) = (record.cid, uri(&agent, &collection, &rkey));
    let writes = vec![Write::of(collection, rkey, record, Action::Create)];
    let commit = commit(&app, &agent, Batch { writes, swap_commit }).await?;
    Ok(Json(Written { uri, cid, commit, validation_status }))
}
