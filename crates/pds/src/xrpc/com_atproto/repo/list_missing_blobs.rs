//! `com.atproto.repo.listMissingBlobs`: blobs that the agent's records refer to and that are not here, each with a record
//! that does. After an import these are the ones to upload.

use crate::app::App;
use crate::blob::listed::{Page, page};
use crate::error::Result;
use crate::http::auth::authenticate;
use crate::http::params::Params;
use crate::http::reply::Json;
use axum::extract::{Request, State};
use rookery_atproto::data::Cid;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cid>,
    blobs: Vec<RecordBlob>,
}

/// `com.atproto.repo.listMissingBlobs#recordBlob`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordBlob {
    cid: Cid,
    record_uri: String,
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Answer>> {
    let (parts, _) = request.into_parts();
    let agent = authenticate(&app, &parts).await?;
    let wanted = Page::of(&Params::of(&parts)?)?;
    app.read(move |sql| {
        let (blobs, cursor) = page(sql, agent.account, wanted, |blob| {
            let record_uri = || format!("at://{}/{}/{}", agent.did, blob.collection, blob.rkey);
            (!blob.here).then(|| RecordBlob { cid: blob.cid, record_uri: record_uri() })
        })?;
        Ok(Json(Answer { cursor, blobs }))
    })
    .await
}
