//! `com.atproto.repo.describeRepo`: an account, its DID document and its collections.

use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::repo::read;
use crate::store;
use axum::extract::{Request, State};
use rookery_atproto::identity::did_doc::DidDocument;
use rookery_atproto::syntax::AtIdentifier;
use serde_json::{Value, json};
use std::sync::Arc;

/// The handle of an account whose own does not resolve (handle spec).
const INVALID_HANDLE: &str = "handle.invalid";

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    let (parts, _) = request.into_parts();
    let repo: AtIdentifier = Params::of(&parts)?.required("repo")?;
    let (account, collections) = app
        .read(move |sql| {
            let account = read::visible(sql, &repo)?;
            let collections = store::record::collections(sql, account.id)?;
            Ok((account, collections))
        })
        .await?;
    let document = app.plc.document(&app, &account.did).await?;
    let claimed = DidDocument::from_value(document.clone()).ok().and_then(|parsed| parsed.handle());
    Ok(Json(json!({
        "handle": account.handle.as_ref().map_or(INVALID_HANDLE, |handle| handle.as_str()),
        "did": account.did.as_str(),
        "didDoc": document,
        "collections": collections,
        // The other direction, handle to DID, is this server's own answer.
        "handleIsCorrect": claimed.is_some() && claimed == account.handle,
    })))
}
