//! `com.atproto.sync.listRepos`: every repo here, in the order in which they were made, inactive ones with their status.

use super::repos::Repos;
use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::ports::Listed;
use axum::extract::{Request, State};
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{Did, Tid};
use serde::Serialize;
use std::sync::Arc;

/// `com.atproto.sync.listRepos#repo`.
#[derive(Serialize)]
pub(crate) struct Entry {
    did: Did,
    head: Cid,
    rev: Tid,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

impl From<Listed> for Entry {
    fn from(repo: Listed) -> Self {
        let status = repo.status.word();
        Self { did: repo.did, head: repo.commit, rev: repo.rev, active: status.is_none(), status }
    }
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Repos<Entry>>> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let limit = params.limit("limit", 1..=1000, 500)?;
    let after = params.row_cursor()?;
    let page = app.ports.directory.list(after, limit).await?;
    Ok(Json(Repos::page(page, limit)))
}
