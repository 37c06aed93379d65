//! The did:plc directory of a Worker on localhost: the core's own, in an object of its own. Accounts ask it by the binding, and
//! others at the root of the Worker's origin.

use crate::host::{self, misconfigured};
use crate::http as bridge;
use crate::js::Storage;
use crate::sql::ObjectStore;
use ::http::Request;
use axum::Router;
use axum::response::IntoResponse;
use futures_util::lock::Mutex;
use rookery_pds::app::App;
use rookery_pds::config::{Config, PlcChoice};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::error::{Error, invalid_request};
use rookery_pds::http::route::{self, Owner};
use rookery_pds::http::router;
use rookery_pds::ports::Engine;
use std::sync::Arc;
use worker::wasm_bindgen::{JsCast, UnwrapThrowExt};
use worker::{DurableObject, Env, State, Stub, durable_object, wasm_bindgen};

const BINDING: &str = "PLC";

/// True when there is one.
pub(crate) fn is_bound(env: &Env) -> bool {
    env.durable_object(BINDING).is_ok()
}

/// The object. There is one.
pub(crate) fn stub(env: &Env) -> worker::Result<Stub> {
    env.durable_object(BINDING)?.get_by_name("plc")
}

/// The object of the directory.
#[durable_object(fetch)]
pub struct Plc {
    store: ObjectStore,
    env: Env,
    /// There once the core is open.
    router: Mutex<Option<Router>>,
}

impl DurableObject for Plc {
    fn new(state: State, env: Env) -> Self {
        let storage = state.as_raw().storage().unwrap_throw().unchecked_into::<Storage>();
        Self { store: ObjectStore::new(storage), env, router: Mutex::new(None) }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let response = match (self.router().await, bridge::request(request.inner())) {
            (Ok(router), Ok(request)) => {
                let (parts, body) = request.into_parts();
                // The router has more than the directory, and accounts are not made here.
                if route::owner(&parts) == Owner::Plc {
                    host::respond(&router, Request::from_parts(parts, body)).await
                } else {
                    invalid_request("This is no request for a did:plc directory.").into_response()
                }
            }
            (Err(error), _) => error.into_response(),
            (_, Err(problem)) => invalid_request(problem).into_response(),
        };
        bridge::response(response).await
    }
}

impl Plc {
    async fn router(&self) -> Result<Router, Error> {
        let mut router = self.router.lock().await;
        if let Some(router) = &*router {
            return Ok(router.clone());
        }
        Ok(router.insert(self.open().await?).clone())
    }

    async fn open(&self) -> Result<Router, Error> {
        let settings = host::settings(&self.env)?;
        if !settings.config.local {
            return Err(misconfigured("PLC is bound, but a public server has no directory of its own"));
        }
        let engine: Arc<dyn Engine> = Arc::new(self.store.clone());
        let directory = Arc::new(StoreDirectory::new(Arc::clone(&engine)));
        let ports = host::ports(&self.env, &settings, engine, directory)?;
        let config = Config { plc: PlcChoice::Embedded, ..settings.config };
        let app = App::open(config, ports, &*host::master_key(&self.env)?).await?;
        Ok(router(app, Router::new()))
    }
}
