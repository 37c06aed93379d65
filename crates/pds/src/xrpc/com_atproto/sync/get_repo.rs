//! `com.atproto.sync.getRepo`: a repo as a CAR, whole or what came after a revision.

use crate::app::App;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::reply::car_stream;
use crate::limits::Client;
use crate::repo::{export, read};
use axum::extract::{Request, State};
use axum::response::Response;
use rookery_atproto::syntax::{AtIdentifier, Did, Tid};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let did: Did = params.required("did")?;
    let since: Option<Tid> = params.optional("since")?;
    let account = app.read(move |sql| read::visible(sql, &AtIdentifier::Did(did))).await?;
    let place = export::place(&app, &Client::of(&parts))?;
    Ok(car_stream(export::keep(place, export::stream(&app, account.id, since))))
}
