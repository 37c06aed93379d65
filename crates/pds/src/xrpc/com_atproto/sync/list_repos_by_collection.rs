//! `com.atproto.sync.listReposByCollection`: the active accounts with at least one record in a collection, in the order in
//! which they were made.

use super::repos::Repos;
use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::Json;
use axum::extract::{Request, State};
use rookery_atproto::syntax::{Did, Nsid};
use serde::Serialize;
use std::sync::Arc;

/// `com.atproto.sync.listReposByCollection#repo`.
#[derive(Serialize)]
pub(crate) struct Entry {
    did: Did,
}

impl From<Did> for Entry {
    fn from(did: Did) -> Self {
        Self { did }
    }
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Repos<Entry>>> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let collection: Nsid = params.required("collection")?;
    let limit = params.limit("limit", 1..=2000, 500)?;
    let after = params.row_cursor()?;
    let page = app.ports.directory.list_by_collection(&collection, after, limit).await?;
    Ok(Json(Repos::page(page, limit)))
}
