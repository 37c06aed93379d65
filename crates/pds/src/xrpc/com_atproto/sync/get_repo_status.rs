//! `com.atproto.sync.getRepoStatus`: whether a repo is served here.

use crate::app::App;
use crate::error::{Result, repo_not_found};
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::store;
use axum::extract::{Request, State};
use rookery_atproto::syntax::Did;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    let (parts, _) = request.into_parts();
    let did: Did = Params::of(&parts)?.required("did")?;
    app.read(move |sql| {
        let account = store::account::by_did(sql, &did)?.ok_or_else(|| repo_not_found(&did))?;
        Ok(Json(match account.status.word() {
            None => json!({
                "did": did.as_str(),
                "active": true,
                "rev": store::repo::head(sql, account.id)?.rev.to_string(),
            }),
            Some(status) => json!({ "did": did.as_str(), "active": false, "status": status }),
        }))
    })
    .await
}
