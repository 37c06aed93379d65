//! `com.atproto.sync.getRepo`: a repo as a CAR, whole or what came after a revision.

use crate::app::App;
use crate::config::limits;
use crate::error::{Result, too_many};
use crate::http::params::Params;
use crate::http::reply::car_stream;
use crate::limits::{Client, Place};
use crate::repo::{export, read};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt;
use rookery_atproto::syntax::{AtIdentifier, Did, Tid};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let did: Did = params.required("did")?;
    let since: Option<Tid> = params.optional("since")?;
    let account = app.read(move |sql| read::visible(sql, &AtIdentifier::Did(did))).await?;
    let place = place(&app, Client::of(&parts).address)?;
    let chunks = export::stream(&app, account.id, since);
    // Taken as long as somebody may read.
    Ok(car_stream(chunks.inspect(move |_| _ = &place).boxed()))
}

/// Nobody has all places, in which exports hold a thread and a snapshot.
fn place(app: &App, address: Option<u64>) -> Result<Option<Place<u64>>> {
    let Some(address) = address else { return Ok(None) };
    let place = app.exports.enter(Some(address), 1).map_err(|_| {
        too_many(format!(
            "{} exports to this address are in progress already. Wait until one has ended.",
            limits::EXPORTS
        ))
    })?;
    Ok(Some(place))
}
