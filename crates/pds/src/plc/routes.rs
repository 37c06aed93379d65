//! The HTTP face of the embedded directory, with the paths, answers and status codes of the real one.

use super::{DirectoryError, embedded};
use crate::app::App;
use crate::http::body;
use crate::http::reply::{Json, text};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use rookery_atproto::identity::plc::{Operation, PlcError, render_did_doc};
use rookery_atproto::syntax::Did;
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest body read, in bytes; the real directory's.
const MAX_BODY: usize = 100 * 1024;

/// Adds the directory at the root of the origin.
pub(crate) fn add(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/{did}", get(document).post(submit))
        .route("/{did}/data", get(data))
        .route("/{did}/log", get(log))
        .route("/{did}/log/audit", get(audit))
        .route("/{did}/log/last", get(last))
}

/// An error with the status and the `message` of the real directory, and a name like every other error here.
struct Refused {
    status: u16,
    message: String,
}

impl<E: Into<DirectoryError>> From<E> for Refused {
    fn from(error: E) -> Self {
        match error.into() {
            DirectoryError::Plc(error) => Self { status: error.http_status(), message: error.to_string() },
            DirectoryError::Store(error) => {
                tracing::error!(%error, "the embedded directory failed");
                Self { status: 500, message: "Internal server error".to_owned() }
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let name = match status {
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::CONFLICT => "Conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "PayloadTooLarge",
            status if status.is_client_error() => "InvalidRequest",
            _ => "InternalServerError",
        };
        (status, Json(json!({ "error": name, "message": self.message }))).into_response()
    }
}

/// The did:plc in the path. Anything else is not registered here.
struct Named(Did);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        // A path that is not UTF-8 once it is decoded names nothing either.
        let named = Path::<String>::from_request_parts(parts, state).await.map(|Path(named)| named);
        let named = named.unwrap_or_else(|_| parts.uri.path().trim_start_matches('/').to_owned());
        let did = Did::parse(&named).ok().filter(|did| did.method() == "plc");
        let message = || Refused { status: 404, message: format!("DID not registered: {named}") };
        did.map(Named).ok_or_else(message)
    }
}

async fn document(State(app): State<Arc<App>>, Named(did): Named) -> Result<Response, Refused> {
    let data = embedded::data(&app, did.clone()).await?;
    Ok(text("application/did+ld+json", render_did_doc(&did, &data).to_string()))
}

async fn data(State(app): State<Arc<App>>, Named(did): Named) -> Result<Json<Value>, Refused> {
    Ok(Json(embedded::data(&app, did.clone()).await?.to_json(&did)))
}

async fn log(State(app): State<Arc<App>>, Named(did): Named) -> Result<Json<Value>, Refused> {
    let entries = embedded::audit(&app, did).await?;
    Ok(Json(entries.iter().filter(|entry| !entry.nullified).map(|entry| entry.operation.to_json()).collect()))
}

async fn audit(State(app): State<Arc<App>>, Named(did): Named) -> Result<Json<Value>, Refused> {
    let entries = embedded::audit(&app, did).await?;
    Ok(Json(entries.iter().map(|entry| entry.to_audit_json()).collect()))
}

async fn last(State(app): State<Arc<App>>, Named(did): Named) -> Result<Json<Value>, Refused> {
    Ok(Json(embedded::last(&app, did).await?.to_json()))
}

async fn submit(
    State(app): State<Arc<App>>,
    Named(did): Named,
    request: Request<Body>,
) -> Result<&'static str, Refused> {
    let (parts, stream) = request.into_parts();
    // The real directory reads nothing else, and then finds no operation.
    body::require_json(&parts).map_err(|error| PlcError::NotAnOperation(error.message.into_owned()))?;
    let body =
        Limited::new(stream, MAX_BODY).collect().await.map_err(|_| PlcError::BodyTooLarge(MAX_BODY))?;
    let operation = Operation::from_json(&body.to_bytes())?;
    embedded::admit_new(&app, did, operation).await?;
    Ok("OK")
}
