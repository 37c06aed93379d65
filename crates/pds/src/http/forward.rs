//! Requests that a host hands on to where their account is.
//!
//! What is limited by address is counted where all requests come by, and nowhere else: who hands one on [charges](charge) for it
//! first, and looks at what became of it, as the [router](super::router) does with those that it answers itself. A request that
//! is charged for can still go to that router, which then charges nothing more.

use super::auth::enrollment_proof;
use super::cors;
use super::limits::charge_arriving;
use super::route::Owner;
use crate::app::App;
use crate::error::Error;
use crate::limits::Client;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// A request that was charged for.
pub struct Charged {
    app: Arc<App>,
    client: Client,
    /// True when an agent has to show who it is, and may fail to.
    authenticates: bool,
}

/// Takes what a request costs its address, or answers it when that has nothing left.
pub fn charge(app: &Arc<App>, parts: &mut Parts, owner: &Owner) -> Result<Charged, Box<Response>> {
    // An enrollment that fails counts as an enrollment.
    let authenticates = matches!(owner, Owner::Key(_)) && parts.uri.path() != "/api/signup";
    let client = Client::arriving(&parts.extensions);
    let charged = charge_arriving(app, &client, &parts.method, parts.uri.path());
    let charged = charged.and_then(|()| match client.address {
        Some(address) if authenticates => app.limits.failures.require_left(address, app.now_micros()),
        _ => Ok(()),
    });
    match charged {
        Ok(()) => {
            parts.extensions.insert(client.clone());
            Ok(Charged { app: Arc::clone(app), client, authenticates })
        }
        Err(error) => {
            let mut response = refusal(error);
            client.tell(response.headers_mut());
            Err(Box::new(response))
        }
    }
}

impl Charged {
    /// Counts what became of the request, and tells what is to be added to the headers of its answer.
    pub fn answered(&self, status: StatusCode) -> HeaderMap {
        if let Some(address) = self.client.address
            && self.authenticates
            && status == StatusCode::UNAUTHORIZED
        {
            self.app.limits.failures.count(address, self.app.now_micros());
        }
        let mut headers = HeaderMap::new();
        self.client.tell(&mut headers);
        headers
    }
}

/// Checks the proof of an enrollment before there is a store for its account, so that a key that nobody has makes none. The proof
/// is not remembered: the enrollment itself checks it again.
pub async fn check_enrollment(app: &App, parts: &Parts) -> Result<(), Error> {
    enrollment_proof(app, parts).await.map(drop)
}

/// The answer to a request that did not get to its account.
pub fn refusal(error: Error) -> Response {
    readable(error.into_response())
}

/// An answer that did not come through the router, readable from anywhere as those that did.
pub fn readable(mut response: Response) -> Response {
    cors::open(response.headers_mut());
    response
}
