//! The account object: one agent's repo, keys, blobs and events, in a database of their own.
//!
//! The core runs in it as it is, with all of its routes. It is opened when the first request has woken the object, and forgotten
//! when the object is evicted, after seconds of rest; everything that must last is in the database.

use crate::alarm::Alarm;
use crate::d1::D1Directory;
use crate::host::{self, misconfigured};
use crate::http as bridge;
use crate::js::storage_of;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::sql::ObjectStore;
use ::http::{HeaderValue, Method, Response};
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::lock::Mutex;
use rookery_pds::app::App;
use rookery_pds::error::Error;
use rookery_pds::http::router;
use std::rc::Rc;
use std::sync::Arc;
use worker::{DurableObject, Env, State, durable_object, wasm_bindgen};

/// Tells what a request has cost, in rows as they are billed.
const COST: &str = "rookery-rows";

/// The object of one account.
#[durable_object(alarm)]
pub struct Account {
    storage: ObjectStore,
    state: Rc<State>,
    env: Env,
    /// There once the core is open. A mutex, so that requests that come together open it once.
    running: Mutex<Option<Running>>,
    /// Held by an enrollment. It waits for others between its steps (the directories of accounts and of DIDs), and one of the
    /// same key that came in between would take its reservation away.
    enrolling: Mutex<()>,
}

#[derive(Clone)]
struct Running {
    router: Router,
    outbox: Rc<Outbox>,
    settings: Arc<Settings>,
}

impl DurableObject for Account {
    fn new(state: State, env: Env) -> Self {
        let (storage, state) = (ObjectStore::new(storage_of(&state)), Rc::new(state));
        Self { storage, state, env, running: Mutex::new(None), enrolling: Mutex::new(()) }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let response = match self.running().await {
            Ok(running) => self.answer(&running, &request).await,
            Err(error) => error.into_response(),
        };
        bridge::response(response).await
    }

    async fn alarm(&self) -> worker::Result<worker::Response> {
        let running = self.running().await.map_err(|error| worker::Error::RustError(error.to_string()))?;
        running.outbox.ring().await;
        worker::Response::empty()
    }
}

impl Account {
    async fn answer(&self, running: &Running, request: &worker::Request) -> Response<Body> {
        let request = match bridge::request(request.inner()) {
            Ok(request) => request,
            Err(problem) => return Error::named("InvalidRequest", problem).into_response(),
        };
        let enrolls = request.uri().path() == "/api/signup";
        let _turn = if enrolls { Some(self.enrolling.lock().await) } else { None };
        let before = self.storage.counted();
        let may_write = request.method() == Method::POST;
        if may_write {
            running.outbox.expect_write();
        }
        let mut response = host::respond(&running.router, request).await;
        if may_write {
            running.outbox.nudge();
        }
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
        let settings = host::settings(&self.env)?;
        let directory = Arc::new(D1Directory::new(&self.env).map_err(misconfigured)?);
        let ports = host::ports(&self.env, &settings, Arc::new(self.storage.clone()), directory)?;
        let app = App::open(settings.config.clone(), ports, &*host::master_key(&self.env)?).await?;
        let alarm = Alarm::of(storage_of(&self.state)).await?;
        let outbox = Outbox::new(Arc::clone(&app), self.env.clone(), Rc::clone(&self.state), alarm);
        Ok(Running { router: router(app, Router::new()), outbox, settings: Arc::new(settings) })
    }
}
