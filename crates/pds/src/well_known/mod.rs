//! What anyone may read before knowing anything: health, terms, identity of the server, and welcome.md.

mod welcome;

use crate::app::App;
use crate::config::VERSION;
use crate::error::{Error, Result};
use crate::http::reply::{Json, text};
use crate::store;
use crate::store::account::Status;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, header};
use rookery_atproto::syntax::Handle;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `GET /`.
pub(crate) async fn root() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /xrpc/_health`: answers when the store does, with what an operator should know of it, of accounts and relays.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    Ok(Json(app.health().await?.into()))
}

impl App {
    /// What [`GET /xrpc/_health`](health) answers.
    pub async fn health(&self) -> Result<Map<String, Value>> {
        self.read(|sql| Ok(store::ping(sql)?)).await.map_err(|error| {
            Error::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "The store does not answer.")
                .because(error)
        })?;
        let store = json!(self.ports.engine.written());
        let mut health =
            Map::from_iter([("version".to_owned(), VERSION.into()), ("store".to_owned(), store)]);
        self.relays().add_to(&mut health);
        Ok(health)
    }
}

/// `GET /tos`: the exact bytes that agents sign.
pub(crate) async fn tos(State(app): State<Arc<App>>) -> Result<Response> {
    Ok(text("text/plain; charset=utf-8", app.terms()?.text.clone()))
}

/// `GET /.well-known/welcome.md`.
pub(crate) async fn welcome(State(app): State<Arc<App>>) -> Response {
    text("text/markdown; charset=utf-8", welcome::render(&app.config))
}

/// `GET /.well-known/atproto-did`: the DID of the account whose handle is the host of the request.
pub(crate) async fn atproto_did(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let not_found = || {
        Error::new(StatusCode::NOT_FOUND, "HandleNotFound", "No account here has this host as its handle.")
    };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(request.uri().host()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let handle = Handle::parse(name).map_err(|_| not_found())?;
    let holder = app.ports.directory.resolve(&handle).await?;
    let holder = holder.filter(|holder| holder.status == Status::Active).ok_or_else(not_found)?;
    Ok(text("text/plain; charset=utf-8", holder.did.as_str()))
}

/// `GET /.well-known/did.json`: the server's own did:web.
pub(crate) async fn did_json(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": app.config.service_did.as_str(),
        "service": [{
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": app.config.public_url,
        }],
    }))
}
