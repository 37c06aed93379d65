//! `com.atproto.sync.listReposByCollection`: the active accounts with at least one record in a collection, in the order in
//! which they were made.

use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::store;
use axum::extract::{Request, State};
use rookery_atproto::syntax::{Did, Nsid};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    repos: Vec<Entry>,
}

/// `com.atproto.sync.listReposByCollection#repo`.
#[derive(Serialize)]
struct Entry {
    did: Did,
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Answer>> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let collection: Nsid = params.required("collection")?;
    let limit = params.limit("limit", 1..=2000, 500)?;
    let after = params.row_cursor()?;
    app.read(move |sql| {
        let mut repos = Vec::new();
        let mut each = |did| repos.push(Entry { did });
        let last = store::collection::repos(sql, &collection, after, limit, &mut each)?;
        let full = i64::try_from(repos.len()).is_ok_and(|count| count == limit);
        Ok(Json(Answer { cursor: last.filter(|_| full).map(|last| last.0.to_string()), repos }))
    })
    .await
}
