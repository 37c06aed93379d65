//! `com.atproto.sync.getBlocks`: blocks of a repo by CID, as a CAR without roots.

use crate::app::App;
use crate::config::limits;
use crate::error::{Result, invalid_request};
use crate::http::params::Params;
use crate::http::reply::car_stream;
use crate::limits::Client;
use crate::repo::{blocks, export, read};
use axum::extract::{Request, State};
use axum::response::Response;
use rookery_atproto::data::{Cid, Codec};
use rookery_atproto::syntax::{AtIdentifier, Did};
use std::collections::HashSet;
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::with_array(&parts, "cids")?;
    let did: Did = params.required("did")?;
    let mut cids: Vec<Cid> = params.array("cids", limits::BLOCKS)?;
    if let Some(blob) = cids.iter().find(|cid| cid.codec() == Codec::Raw) {
        return Err(invalid_request(format!(
            "{blob} is the CID of a blob, and a repo has no such blocks. Ask com.atproto.sync.getBlob for it."
        )));
    }
    let mut seen = HashSet::new();
    cids.retain(|cid| seen.insert(*cid));
    let account = app.read(move |sql| read::visible(sql, &AtIdentifier::Did(did))).await?;
    let place = export::place(&app, &Client::of(&parts))?;
    Ok(car_stream(export::keep(place, blocks::stream(&app, account.id, cids).await?)))
}
