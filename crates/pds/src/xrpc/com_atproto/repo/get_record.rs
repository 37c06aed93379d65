//! `com.atproto.repo.getRecord`: one record.

use crate::app::App;
use crate::error::{Result, record_not_found};
use crate::http::params::Params;
use crate::http::reply::json_bytes;
use crate::repo::read::{self, write_record};
use axum::extract::{Request, State};
use axum::response::Response;
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{AtIdentifier, Nsid, RecordKey};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let repo: AtIdentifier = params.required("repo")?;
    let collection: Nsid = params.required("collection")?;
    let rkey: RecordKey = params.required("rkey")?;
    let version: Option<Cid> = params.optional("cid")?;
    let (did, record) = read::record(&app, repo.clone(), collection.clone(), rkey.clone()).await?;
    if version.is_some_and(|cid| cid != record.cid) {
        return Err(record_not_found(&repo, &collection, &rkey));
    }
    let mut out = Vec::with_capacity(record.body.len() * 2 + 256);
    write_record(&mut out, &did, &collection, rkey.as_str(), record.cid, &record.body)?;
    Ok(json_bytes(out))
}
