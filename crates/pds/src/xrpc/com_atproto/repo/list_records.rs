//! `com.atproto.repo.listRecords`: a page of a collection, newest first unless reversed.

use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::json_bytes;
use crate::repo::read;
use axum::extract::{Request, State};
use axum::response::Response;
use rookery_atproto::syntax::{AtIdentifier, Nsid};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let repo: AtIdentifier = params.required("repo")?;
    let collection: Nsid = params.required("collection")?;
    let limit = params.limit("limit", 1..=100, 50)?;
    let cursor = params.text("cursor").map(str::to_owned);
    let ascending = params.flag("reverse")?;
    Ok(json_bytes(read::page(&app, repo, collection, limit, cursor, ascending).await?))
}
