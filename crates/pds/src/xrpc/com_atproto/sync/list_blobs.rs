//! `com.atproto.sync.listBlobs`: the blobs that an account's records refer to, or those of records written after a revision.

use crate::app::App;
use crate::blob::listed::{Page, page};
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::repo::read;
use axum::extract::{Request, State};
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{AtIdentifier, Did, Tid};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cid>,
    cids: Vec<Cid>,
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Answer>> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let did: Did = params.required("did")?;
    let since: Option<Tid> = params.optional("since")?;
    let wanted = Page::of(&params)?;
    app.read(move |sql| {
        let account = read::visible(sql, &AtIdentifier::Did(did))?.id;
        let is_newer = |rev| since.is_none_or(|since| rev > since);
        let (cids, cursor) = page(sql, account, wanted, |blob| is_newer(blob.rev).then_some(blob.cid))?;
        Ok(Json(Answer { cursor, cids }))
    })
    .await
}
