//! `com.atproto.repo.deleteRecord`: no record under a key. When there is none already, nothing happens.

use super::write_input;
use crate::app::App;
use crate::config::limits;
use crate::error::Result;
use crate::http::reply::Json;
use crate::repo::commit::{Batch, Committed, Write, commit};
use axum::extract::{Request, State};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Deleted {
    /// None when there was nothing to delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Committed>,
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Deleted>> {
    let (agent, input) = write_input::read(&app, request, limits::JSON_BODY).await?;
    let swap = input.optional("swapRecord")?.map(Some);
    let swap_commit = input.optional("swapCommit")?;
    let write = Write { swap, ..Write::delete(input.required("collection")?, input.required("rkey")?) };
    let commit = commit(&app, &agent, Batch { writes: vec![write], swap_commit }).await?;
    Ok(Json(Deleted { commit }))
}
