//! `com.atproto.server.describeServer`: what this server is and offers.

use crate::app::App;
use crate::http::reply::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>) -> Response {
    Json(json!({
        "did": app.config.service_did.as_str(),
        "availableUserDomains": [app.config.handle_domain.as_str()],
        "inviteCodeRequired": false,
        "phoneVerificationRequired": false,
        "blobUploadLimit": app.config.blobs.limit,
        "links": { "termsOfService": format!("{}/tos", app.config.public_url) },
        "contact": {},
    }))
    .into_response()
}
