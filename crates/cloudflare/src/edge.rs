//! What answers first. It tells from the head of a request which object it belongs to, and hands it on whole: bodies stream
//! past it, both ways.
//!
//! What belongs to no account is answered here, by the core over a store that holds nothing. So is what names an account that is
//! not here: no object is made for a stranger's word, but for that of somebody who enrolls.
//!
//! Objects are reached through here only. What they are handed is told by [`route::owner`], which knows public paths and no
//! others, so that the paths by which objects call each other are closed to everybody outside.
//!
//! Everything in an isolate that is kept between requests is here: none may wait for what another has begun, since the runtime
//! refuses that. So it is opened without waiting.

use crate::d1::D1Directory;
use crate::host::{self, misconfigured};
use crate::js::{Fetcher, text_of};
use crate::settings::Settings;
use crate::{http as bridge, plc, sequencer_calls};
use ::http::request::Parts;
use ::http::{HeaderMap, Request, StatusCode};
use axum::Router;
use axum::body::Body;
use quick_cache::unsync::Cache;
use rookery_atproto::syntax::Did;
use rookery_auth::jwk::Thumbprint;
use rookery_pds::app::App;
use rookery_pds::error::{Error, invalid_request};
use rookery_pds::http::forward::{charge, refusal};
use rookery_pds::http::route::{self, Owner};
use rookery_pds::http::router;
use rookery_pds::ports::Nothing;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Env, Stub, wasm_bindgen, wasm_bindgen_futures, web_sys};

/// Accounts whose objects are remembered, by DID and by key.
const REMEMBERED: usize = 10_000;

thread_local! {
    static EDGE: RefCell<Option<Rc<Edge>>> = const { RefCell::new(None) };
}

/// Handles a request from the network.
#[wasm_bindgen]
pub async fn fetch(request: web_sys::Request, env: Env) -> Result<web_sys::Response, JsValue> {
    match Edge::of_isolate(&env) {
        Ok(edge) => edge.answer(request).await,
        Err(error) => respond(refusal(error)).await,
    }
}

struct Edge {
    env: Env,
    settings: Settings,
    app: Arc<App>,
    router: Router,
    directory: Arc<D1Directory>,
    /// Whose object an account is in never changes.
    keys: RefCell<Cache<Did, Thumbprint>>,
    /// Keys with accounts.
    known: RefCell<Cache<Thumbprint, ()>>,
}

impl Edge {
    fn of_isolate(env: &Env) -> Result<Rc<Self>, Error> {
        if let Some(edge) = EDGE.with_borrow(Clone::clone) {
            return Ok(edge);
        }
        let edge = Rc::new(Self::open(env)?);
        EDGE.set(Some(Rc::clone(&edge)));
        Ok(edge)
    }

    fn open(env: &Env) -> Result<Self, Error> {
        let settings = host::settings(env)?;
        let directory = Arc::new(D1Directory::new(env).map_err(misconfigured)?);
        let ports = host::ports(env, &settings, Arc::new(Nothing), Arc::clone(&directory) as _)?;
        let app = App::without_accounts(settings.config.clone(), ports, &*host::master_key(env)?)?;
        Ok(Self {
            env: env.clone(),
            settings,
            router: router(Arc::clone(&app), Router::new()),
            app,
            directory,
            keys: RefCell::new(Cache::new(REMEMBERED)),
            known: RefCell::new(Cache::new(REMEMBERED)),
        })
    }

    async fn answer(&self, raw: web_sys::Request) -> Result<web_sys::Response, JsValue> {
        let mut parts = match bridge::parts(&raw, self.settings.exempt.as_ref()) {
            Ok(parts) => parts,
            Err(problem) => return respond(refusal(invalid_request(problem))).await,
        };
        // It would be another request there, and whose that is was not asked.
        let owner = if bridge::keeps_path(&raw, &parts) { route::owner(&parts) } else { Owner::Nobody };
        if owner == Owner::Nobody {
            return self.own(&raw, parts).await;
        }
        let charged = match charge(&self.app, &mut parts, &owner) {
            Ok(charged) => charged,
            Err(response) => return respond(*response).await,
        };
        let stub = match self.object(&parts, owner).await {
            Ok(Some(stub)) => stub,
            Ok(None) => return self.own(&raw, parts).await,
            Err(error) => return respond(refusal(error)).await,
        };
        match hand_on(stub, &raw).await {
            Ok(response) => {
                let status = StatusCode::from_u16(response.status()).unwrap_or_default();
                told(response, &charged.answered(status))
            }
            Err(thrown) => respond(refusal(unreachable(&thrown))).await,
        }
    }

    /// Answers what belongs to no account here.
    async fn own(&self, raw: &web_sys::Request, parts: Parts) -> Result<web_sys::Response, JsValue> {
        let request = Request::from_parts(parts, bridge::body(raw));
        respond(host::respond(&self.router, request).await).await
    }

    /// The object that a request belongs to.
    async fn object(&self, parts: &Parts, owner: Owner) -> Result<Option<Stub>, Error> {
        let key = match owner {
            Owner::Nobody => None,
            Owner::Key(key) if parts.uri.path() == "/api/signup" => Some(key),
            Owner::Key(key) => self.is_known(&key).await?.then_some(key),
            Owner::Did(did) => self.key_of(did).await?,
            Owner::Handle(handle) => self.directory.key_of_handle(&handle).await?,
            Owner::Sequencer => return sequencer_calls::stub(&self.env).map(Some).map_err(misconfigured),
            Owner::Plc if plc::is_bound(&self.env) => {
                return plc::stub(&self.env).map(Some).map_err(misconfigured);
            }
            Owner::Plc => None,
        };
        let account = |key: Thumbprint| self.env.durable_object("ACCOUNT")?.get_by_name(&key.to_string());
        key.map(account).transpose().map_err(misconfigured)
    }

    async fn key_of(&self, did: Did) -> Result<Option<Thumbprint>, Error> {
        if let Some(key) = self.keys.borrow().get(&did) {
            return Ok(Some(*key));
        }
        let key = self.directory.key_of_did(&did).await?;
        if let Some(key) = key {
            self.keys.borrow_mut().insert(did, key);
        }
        Ok(key)
    }

    async fn is_known(&self, key: &Thumbprint) -> Result<bool, Error> {
        if self.known.borrow().get(key).is_some() {
            return Ok(true);
        }
        let known = self.directory.knows(key).await?;
        if known {
            self.known.borrow_mut().insert(*key, ());
        }
        Ok(known)
    }
}

/// The request goes as it came. So does the answer, with its body still to come.
async fn hand_on(stub: Stub, request: &web_sys::Request) -> Result<web_sys::Response, JsValue> {
    let answer = stub.into_rpc::<Fetcher>().fetch(request)?;
    JsFuture::from(answer).await?.dyn_into()
}

/// The answer with more headers.
fn told(response: web_sys::Response, more: &HeaderMap) -> Result<web_sys::Response, JsValue> {
    // A WebSocket's has none to read.
    if more.is_empty() || response.status() == 101 {
        return Ok(response);
    }
    let (body, like) = (response.body(), response.unchecked_ref());
    let response = web_sys::Response::new_with_opt_readable_stream_and_init(body.as_ref(), like)?;
    for (name, value) in more {
        response.headers().set(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    Ok(response)
}

async fn respond(response: ::http::Response<Body>) -> Result<web_sys::Response, JsValue> {
    Ok(bridge::response(response).await?.into())
}

/// 503: the object is overloaded, was moved or restarted, or threw something.
fn unreachable(thrown: &JsValue) -> Error {
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        "What keeps this account does not answer at the moment. Try again; if you sent a write, look first whether it is there.",
    )
    .because(text_of(thrown))
}
