//! `com.atproto.repo.uploadBlob`: a file, to be referred to from a record.

use crate::app::App;
use crate::blob::upload;
use crate::error::Result;
use crate::http::auth::authenticate;
use crate::http::reply::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    let (parts, body) = request.into_parts();
    let agent = authenticate(&app, &parts).await?;
    let blob = upload::receive(&app, &agent, &parts, body).await?;
    Ok(Json(json!({
        "blob": {
            "$type": "blob",
            "ref": { "$link": blob.cid.to_string() },
            "mimeType": blob.mime_type,
            "size": blob.size,
        },
    })))
}
