//! The account object: one agent's repo, keys, blobs and events, in a database of their own.
//!
//! The core runs in it as it is, with all of its routes. It is opened when the first request has woken the object, and forgotten
//! when the object is evicted, after seconds of rest; everything that must last is in the database.

use crate::js::Storage;
use crate::net::FetchNet;
use crate::r2::R2;
use crate::settings::{self, Settings};
use crate::sql::ObjectStore;
use crate::system::{CryptoEntropy, EventClock, FixedTerms};
use crate::webcrypto::WebCrypto;
use crate::{http as bridge, log};
use ::http::{HeaderValue, Request, Response, StatusCode};
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::lock::Mutex;
use rookery_pds::app::{App, Ports};
use rookery_pds::error::Error;
use rookery_pds::http::router;
use std::sync::Arc;
use tower::ServiceExt;
use worker::wasm_bindgen::{JsCast, UnwrapThrowExt};
use worker::{DurableObject, Env, State, durable_object, wasm_bindgen};

/// Tells what a request has cost, in rows as they are billed.
const COST: &str = "rookery-rows";

/// The object of one account.
#[durable_object(fetch)]
pub struct Account {
    storage: ObjectStore,
    env: Env,
    /// There once the core is open. A mutex, so that requests that come together open it once.
    running: Mutex<Option<Running>>,
}

#[derive(Clone)]
struct Running {
    router: Router,
    settings: Arc<Settings>,
}

impl DurableObject for Account {
    fn new(state: State, env: Env) -> Self {
        let storage = state.as_raw().storage().unwrap_throw().unchecked_into::<Storage>();
        Self { storage: ObjectStore::new(storage), env, running: Mutex::new(None) }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let response = match self.running().await {
            Ok(running) => self.answer(&running, &request).await,
            Err(error) => error.into_response(),
        };
        bridge::response(response).await
    }
}

impl Account {
    async fn answer(&self, running: &Running, request: &worker::Request) -> Response<Body> {
        let request = match bridge::request(request.inner(), running.settings.limited) {
            Ok(request) => request,
            Err(problem) => return Error::named("InvalidRequest", problem).into_response(),
        };
        let before = self.storage.counted();
        let mut response = respond(&running.router, request).await;
        if running.settings.counters {
            let after = self.storage.counted();
            let cost =
                format!("read={}, written={}", after.read - before.read, after.written - before.written);
            let headers = response.headers_mut();
            headers.extend(HeaderValue::from_str(&cost).ok().map(|cost| (COST.parse().ok(), cost)));
        }
        response
    }

    /// The core, opened on the first call. What failed is tried again with the next request.
    async fn running(&self) -> Result<Running, Error> {
        let mut running = self.running.lock().await;
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let opened = self.open().await?;
        Ok(running.insert(opened).clone())
    }

    async fn open(&self) -> Result<Running, Error> {
        let settings = Settings::read(&self.env).map_err(misconfigured)?;
        log::start(settings.log);
        let master_key = settings::master_key(&self.env).map_err(misconfigured)?;
        let bucket = self.env.bucket("BLOBS").map_err(|error| misconfigured(error.to_string()))?;
        let ports = Ports {
            engine: Arc::new(self.storage.clone()),
            blobs: Arc::new(R2::new(bucket)),
            net: Arc::new(FetchNet),
            verify: Arc::new(WebCrypto::default()),
            clock: Arc::new(EventClock),
            entropy: Arc::new(CryptoEntropy),
            terms: Arc::new(FixedTerms(Arc::clone(&settings.terms))),
        };
        let app = App::open(settings.config.clone(), ports, &master_key).await?;
        Ok(Running { router: router(app, Router::new()), settings: Arc::new(settings) })
    }
}

async fn respond(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn misconfigured(problem: String) -> Error {
    Error::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "This server is not set up as it should be. Its operator finds the reason in the log.",
    )
    .because(problem)
}
