//! `com.atproto.sync.getLatestCommit`: the head of a repo.

use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::repo::read;
use crate::store;
use axum::extract::{Request, State};
use rookery_atproto::syntax::{AtIdentifier, Did};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    let (parts, _) = request.into_parts();
    let did: Did = Params::of(&parts)?.required("did")?;
    let head = app
        .read(move |sql| {
            let account = read::visible(sql, &AtIdentifier::Did(did))?;
            Ok(store::repo::head(sql, account.id)?)
        })
        .await?;
    Ok(Json(json!({ "cid": head.commit.to_string(), "rev": head.rev.to_string() })))
}
