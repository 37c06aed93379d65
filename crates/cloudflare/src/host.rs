//! What the core is opened with, wherever in the Worker it runs.

use crate::log;
use crate::net::FetchNet;
use crate::r2::R2;
use crate::settings::{self, Settings};
use crate::system::{CryptoEntropy, EventClock, FixedTerms};
use crate::webcrypto::WebCrypto;
use ::http::{Request, Response, StatusCode};
use axum::Router;
use axum::body::Body;
use rookery_pds::app::Ports;
use rookery_pds::error::Error;
use rookery_pds::ports::{Directory, Engine};
use std::fmt::Display;
use std::sync::Arc;
use tower::ServiceExt;
use tracing::Level;
use worker::Env;
use zeroize::Zeroizing;

/// What the operator decided.
pub(crate) fn settings(env: &Env) -> Result<Settings, Error> {
    let settings = Settings::read(env);
    // What is wrong with the settings is logged too.
    log::start(settings.as_ref().map_or(Level::INFO, |settings| settings.log));
    let settings = settings.map_err(misconfigured)?;
    Ok(settings)
}

/// The key that private keys are sealed under.
pub(crate) fn master_key(env: &Env) -> Result<Zeroizing<[u8; 32]>, Error> {
    settings::master_key(env).map_err(misconfigured)
}

/// The ports, around a store and what is known of others.
pub(crate) fn ports(
    env: &Env,
    settings: &Settings,
    engine: Arc<dyn Engine>,
    directory: Arc<dyn Directory>,
) -> Result<Ports, Error> {
    Ok(Ports {
        engine,
        directory,
        blobs: Arc::new(R2::new(env.bucket("BLOBS").map_err(misconfigured)?)),
        net: Arc::new(FetchNet::new(env, settings)),
        verify: Arc::new(WebCrypto::default()),
        clock: Arc::new(EventClock),
        entropy: Arc::new(CryptoEntropy),
        terms: Arc::new(FixedTerms(Arc::clone(&settings.terms))),
    })
}

/// What the core answers.
pub(crate) async fn respond(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// 500, for what only the operator can mend.
pub(crate) fn misconfigured(problem: impl Display) -> Error {
    Error::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "This server is not set up as it should be. Its operator finds the reason in the log.",
    )
    .because(problem.to_string())
}
