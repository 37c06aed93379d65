//! `com.atproto.identity.resolveHandle`: the DID of a handle, hosted here or elsewhere.

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::params::Params;
use crate::http::reply::Json;
use crate::resolve;
use axum::extract::{Request, State};
use rookery_atproto::syntax::Handle;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    let (parts, _) = request.into_parts();
    let handle: Handle = Params::of(&parts)?.required("handle")?;
    let did = resolve::handle(&app, &handle)
        .await?
        .ok_or_else(|| Error::named("HandleNotFound", format!("Unable to resolve handle: {handle}")))?;
    Ok(Json(json!({ "did": did.as_str() })))
}
