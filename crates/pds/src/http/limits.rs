//! What every request costs its address, before anything is done for it.

use crate::app::App;
use crate::error::Result;
use crate::limits::{Client, Limit, Limits};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use std::sync::Arc;

/// Refuses those whose address has used up its points, and tells the others how they stand.
pub(super) async fn layer(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if app.limits.are_off() {
        return next.run(request).await;
    }
    let (client, charged) = match request.extensions().get::<Client>() {
        // By who wanted to hand it on.
        Some(client) => (client.clone(), Ok(())),
        None => {
            let client = Client::arriving(request.extensions());
            let charged = charge_arriving(&app, &client, request.method(), request.uri().path());
            (client, charged)
        }
    };
    let mut response = match charged {
        Ok(()) => {
            request.extensions_mut().insert(client.clone());
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    client.tell(response.headers_mut());
    response
}

/// Takes what a request costs its address.
pub(super) fn charge_arriving(app: &App, client: &Client, method: &Method, path: &str) -> Result<()> {
    let now = app.now_micros();
    charged(&app.limits, method, path)
        .into_iter()
        .flatten()
        .try_for_each(|limit| client.charge(limit, 1, now))
}

/// The limits of the address. Writes are charged to their account, once that is known.
fn charged<'a>(limits: &'a Limits, method: &Method, path: &str) -> [Option<&'a Limit>; 2] {
    match path {
        "/xrpc/com.atproto.repo.createRecord"
        | "/xrpc/com.atproto.repo.putRecord"
        | "/xrpc/com.atproto.repo.deleteRecord"
        | "/xrpc/com.atproto.repo.applyWrites"
        | "/xrpc/com.atproto.repo.uploadBlob"
            if method == Method::POST =>
        {
            [None, None]
        }
        // A mirror of the whole network asks a server for every repo at once.
        "/xrpc/com.atproto.sync.getRepo" => [Some(&limits.exports), None],
        "/api/signup" => [Some(&limits.reads), Some(&limits.signups)],
        _ => [Some(&limits.reads), None],
    }
}
