//! Every route of the server, in one table.

use super::{cors, limits};
use crate::app::App;
use crate::config::PlcChoice;
use crate::error::Error;
use crate::xrpc::com_atproto::{identity, repo, server, sync};
use crate::{enroll, plc, well_known};
use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use std::sync::Arc;

/// The server as an HTTP service. `of_host` are the routes that each host answers in its own way: those with WebSockets.
pub fn router(app: Arc<App>, of_host: Router<Arc<App>>) -> Router {
    let embedded = app.config.plc == PlcChoice::Embedded;
    let mut router = Router::new()
        .route("/", get(well_known::root))
        .route("/tos", get(well_known::tos))
        .route("/api/signup", post(enroll::handle))
        .route("/.well-known/welcome.md", get(well_known::welcome))
        .route("/.well-known/atproto-did", get(well_known::atproto_did))
        .route("/.well-known/did.json", get(well_known::did_json))
        .route("/xrpc/_health", get(well_known::health))
        .route("/xrpc/com.atproto.identity.resolveHandle", get(identity::resolve_handle::handle))
        .route("/xrpc/com.atproto.server.describeServer", get(server::describe_server::handle))
        .route("/xrpc/com.atproto.repo.getRecord", get(repo::get_record::handle))
        .route("/xrpc/com.atproto.repo.listRecords", get(repo::list_records::handle))
        .route("/xrpc/com.atproto.repo.describeRepo", get(repo::describe_repo::handle))
        .route("/xrpc/com.atproto.repo.createRecord", post(repo::create_record::handle))
        .route("/xrpc/com.atproto.repo.putRecord", post(repo::put_record::handle))
        .route("/xrpc/com.atproto.repo.deleteRecord", post(repo::delete_record::handle))
        .route("/xrpc/com.atproto.repo.applyWrites", post(repo::apply_writes::handle))
        .route("/xrpc/com.atproto.repo.uploadBlob", post(repo::upload_blob::handle))
        .route("/xrpc/com.atproto.repo.listMissingBlobs", get(repo::list_missing_blobs::handle))
        .route("/xrpc/com.atproto.sync.getRepo", get(sync::get_repo::handle))
        .route("/xrpc/com.atproto.sync.getLatestCommit", get(sync::get_latest_commit::handle))
        .route("/xrpc/com.atproto.sync.getRepoStatus", get(sync::get_repo_status::handle))
        .route("/xrpc/com.atproto.sync.getBlob", get(sync::get_blob::handle))
        .route("/xrpc/com.atproto.sync.listBlobs", get(sync::list_blobs::handle))
        .route("/xrpc/com.atproto.sync.getBlocks", get(sync::get_blocks::handle))
        .route("/xrpc/com.atproto.sync.getRecord", get(sync::get_record::handle))
        .route("/xrpc/com.atproto.sync.listRepos", get(sync::list_repos::handle))
        .route("/xrpc/com.atproto.sync.listReposByCollection", get(sync::list_repos_by_collection::handle));
    if embedded {
        router = plc::routes::add(router);
    }
    router
        .merge(of_host)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown)
        .with_state(Arc::clone(&app))
        .layer(middleware::from_fn_with_state(app, limits::layer))
        .layer(middleware::from_fn(cors::layer))
}

async fn wrong_method(request: Request) -> Error {
    Error::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "InvalidRequest",
        format!(
            "{} does not take {}: queries are GET, procedures are POST.",
            request.uri().path(),
            request.method()
        ),
    )
}

async fn unknown(request: Request) -> Response {
    let path = request.uri().path();
    match path.strip_prefix("/xrpc/") {
        Some(method) => Error::new(
            StatusCode::NOT_IMPLEMENTED,
            "MethodNotImplemented",
            format!("The method {method:?} is not implemented here. See /.well-known/welcome.md for those that are."),
        ),
        None => Error::new(StatusCode::NOT_FOUND, "NotFound", "Nothing is here. Start at /.well-known/welcome.md."),
    }
    .into_response()
}
