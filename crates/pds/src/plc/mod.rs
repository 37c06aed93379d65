//! The did:plc directory: the one inside this server, or one elsewhere.

mod embedded;
mod remote;
pub(crate) mod routes;

use crate::app::App;
use crate::config::PlcChoice;
use crate::error::{Error, Result};
use remote::Remote;
use rookery_atproto::identity::plc::{Operation, PlcError};
use rookery_atproto::syntax::Did;
use serde_json::Value;

/// A directory.
pub(crate) enum Plc {
    /// In this server's own store.
    Embedded,
    /// At a URL.
    Remote(Remote),
}

impl Plc {
    pub(crate) fn new(choice: &PlcChoice) -> Self {
        match choice {
            PlcChoice::Embedded => Self::Embedded,
            PlcChoice::Url(url) => Self::Remote(Remote::new(url.clone())),
        }
    }

    /// Registers an operation. Sending the same one again succeeds.
    pub(crate) async fn submit(&self, app: &App, did: &Did, operation: &Operation) -> Result<()> {
        match self {
            Self::Embedded => embedded::submit(app, did.clone(), operation.clone()).await.map_err(refused),
            Self::Remote(remote) => remote.submit(app, did, operation).await,
        }
    }

    /// The DID document.
    pub(crate) async fn document(&self, app: &App, did: &Did) -> Result<Value> {
        match self {
            Self::Embedded => embedded::document(app, did.clone()).await.map_err(refused),
            Self::Remote(remote) => remote.document(app, did).await,
        }
    }
}

/// 502: the directory answers, but does not do what was asked.
fn refused(problem: impl std::fmt::Display) -> Error {
    Error::new(
        http::StatusCode::BAD_GATEWAY,
        "PlcRefused",
        "The did:plc directory refused the request; nothing was changed here. Tell the operator.",
    )
    .because(problem.to_string())
}

/// What the embedded directory can fail with: its rules or the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// The rules of did:plc.
    #[error(transparent)]
    Plc(#[from] PlcError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::ports::EngineError),
}

impl From<crate::ports::SqlError> for DirectoryError {
    fn from(error: crate::ports::SqlError) -> Self {
        Self::Store(error.into())
    }
}
