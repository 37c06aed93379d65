//! The account object: one agent's repo, keys, blobs and events, in a database of their own.
//!
//! The core runs in it as it is, with all of its routes. It is opened when the first request has woken the object, and forgotten
//! when the object is evicted, after seconds of rest; everything that must last is in the database.
//!
//! Anybody can make a key, and with it a name of an object. So an object stays empty, without even a schema, until somebody
//! enrolls with a proof that its key has signed; whatever else it is asked is answered by a core without accounts.

use crate::alarm::Alarm;
use crate::d1::D1Directory;
use crate::host::{self, misconfigured};
use crate::http as bridge;
use crate::js::storage_of;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::sql::ObjectStore;
use ::http::{HeaderValue, Method, Request, Response};
use axum::Router;
use axum::body::Body;
use futures_util::lock::Mutex;
use rookery_pds::app::App;
use rookery_pds::error::{Error, invalid_request};
use rookery_pds::http::forward::{check_enrollment, refusal};
use rookery_pds::http::router;
use rookery_pds::ports::Nothing;
use std::cell::RefCell;
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
    /// There once they were read.
    settings: RefCell<Option<Rc<Settings>>>,
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
}

impl DurableObject for Account {
    fn new(state: State, env: Env) -> Self {
        let (storage, state) = (ObjectStore::new(storage_of(&state)), Rc::new(state));
        let (settings, running) = (RefCell::default(), Mutex::new(None));
        Self { storage, state, env, settings, running, enrolling: Mutex::new(()) }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let response = match self.respond(&request).await {
            Ok(response) => response,
            Err(error) => refusal(error),
        };
        bridge::response(response).await
    }

    async fn alarm(&self) -> worker::Result<worker::Response> {
        let failed = |error: Error| worker::Error::RustError(error.to_string());
        // An empty object has set no alarm.
        if !self.is_empty().await.map_err(failed)? {
            self.running().await.map_err(failed)?.outbox.ring().await;
        }
        worker::Response::empty()
    }
}

impl Account {
    async fn respond(&self, raw: &worker::Request) -> Result<Response<Body>, Error> {
        let before = self.storage.counted();
        let settings = self.settings()?;
        let request = bridge::request(raw.inner()).map_err(invalid_request)?;
        let enrolls = request.method() == Method::POST && request.uri().path() == "/api/signup";
        let _turn = if enrolls { Some(self.enrolling.lock().await) } else { None };
        let mut response = if self.is_empty().await? {
            self.meet(&settings, request, enrolls).await?
        } else {
            self.running().await?.answer(request).await
        };
        if settings.counters {
            let after = self.storage.counted();
            let cost =
                format!("read={}, written={}", after.read - before.read, after.written - before.written);
            let headers = response.headers_mut();
            headers.extend(HeaderValue::from_str(&cost).ok().map(|cost| (COST.parse().ok(), cost)));
        }
        Ok(response)
    }

    fn settings(&self) -> Result<Rc<Settings>, Error> {
        if let Some(settings) = &*self.settings.borrow() {
            return Ok(Rc::clone(settings));
        }
        let settings = Rc::new(host::settings(&self.env)?);
        *self.settings.borrow_mut() = Some(Rc::clone(&settings));
        Ok(settings)
    }

    /// True until somebody has enrolled here, or has begun to.
    async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.running.lock().await.is_none() && App::is_new(&self.storage).await?)
    }

    /// Answers what an empty object is asked. Only a good proof makes it more than that.
    async fn meet(
        &self,
        settings: &Settings,
        request: Request<Body>,
        enrolls: bool,
    ) -> Result<Response<Body>, Error> {
        let directory = Arc::new(D1Directory::new(&self.env).map_err(misconfigured)?);
        let ports = host::ports(&self.env, settings, Arc::new(Nothing), directory)?;
        let app = App::without_accounts(settings.config.clone(), ports, &*host::master_key(&self.env)?)?;
        if !enrolls {
            return Ok(host::respond(&router(app, Router::new()), request).await);
        }
        let (parts, body) = request.into_parts();
        if let Err(error) = check_enrollment(&app, &parts).await {
            return Ok(refusal(error));
        }
        Ok(self.running().await?.answer(Request::from_parts(parts, body)).await)
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
        let settings = self.settings()?;
        let directory = Arc::new(D1Directory::new(&self.env).map_err(misconfigured)?);
        let ports = host::ports(&self.env, &settings, Arc::new(self.storage.clone()), directory)?;
        let app = App::open(settings.config.clone(), ports, &*host::master_key(&self.env)?).await?;
        let alarm = Alarm::of(storage_of(&self.state)).await?;
        let outbox = Outbox::new(Arc::clone(&app), self.env.clone(), Rc::clone(&self.state), alarm);
        Ok(Running { router: router(app, Router::new()), outbox })
    }
}

impl Running {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let may_write = request.method() == Method::POST;
        if may_write {
            self.outbox.expect_write();
        }
        let response = host::respond(&self.router, request).await;
        if may_write {
            self.outbox.nudge();
        }
        response
    }
}
