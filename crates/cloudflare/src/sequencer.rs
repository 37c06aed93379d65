//! The Sequencer object: there is one. It gives the events of all accounts their final `seq`, keeps them for a while, and sends
//! them to whoever listens.
//!
//! | request | from |
//! |---|---|
//! | `POST /deliver` | the outbox of an account: a [`Delivery`]; answered with the account's last event that is here |
//! | `GET /list`, `GET /by-collection` | the edge, for the lists of repos |
//! | `GET /xrpc/_health`, `GET /xrpc/com.atproto.sync.subscribeRepos` | anybody, through the edge |

use crate::alarm::Alarm;
use crate::firehose::Firehose;
use crate::host;
use crate::http as bridge;
use crate::js::storage_of;
use crate::relays::Relays;
use crate::settings::Settings;
use crate::sql::ObjectStore;
use crate::system::EventClock;
use ::http::request::Parts;
use ::http::{Method, Response, StatusCode, header};
use axum::body::{Body, to_bytes};
use axum::response::IntoResponse;
use futures_util::lock::Mutex;
use rookery_atproto::syntax::Nsid;
use rookery_pds::config::limits;
use rookery_pds::error::{Error, Result, invalid_request};
use rookery_pds::http::forward::readable;
use rookery_pds::sequencer::{Delivery, SharedLog};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use worker::{
    DurableObject, Env, State, Url, WebSocket, WebSocketIncomingMessage, durable_object, wasm_bindgen,
};

const SUBSCRIBE: &str = "/xrpc/com.atproto.sync.subscribeRepos";
/// How soon after an event old ones are looked for, and how often when nothing happens.
const PRUNING: Duration = Duration::from_secs(60);
const QUIET_PRUNING: Duration = Duration::from_secs(3_600);
/// Entries of one page of a list.
const PAGE: i64 = 1_000;

/// The object.
#[durable_object]
pub struct Sequencer {
    storage: ObjectStore,
    state: Rc<State>,
    env: Env,
    /// There once the log is open. A mutex, so that requests that come together open it once.
    running: Mutex<Option<Rc<Running>>>,
}

struct Running {
    log: Arc<SharedLog>,
    firehose: Rc<Firehose>,
    relays: Relays,
    alarm: Rc<Alarm>,
    settings: Settings,
}

impl DurableObject for Sequencer {
    fn new(state: State, env: Env) -> Self {
        let storage = ObjectStore::new(storage_of(&state));
        Self { storage, state: Rc::new(state), env, running: Mutex::new(None) }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let response = match self.answer(&request).await {
            Ok(Answer::Stream(socket)) => return worker::Response::from_websocket(socket),
            Ok(Answer::Whole(response)) => response,
            Err(error) => error.into_response(),
        };
        bridge::response(readable(response)).await
    }

    async fn alarm(&self) -> worker::Result<worker::Response> {
        let running = self.running().await.map_err(|error| worker::Error::RustError(error.to_string()))?;
        running.alarm.rings();
        if let Err(error) = running.log.log.prune().await {
            tracing::warn!(%error, "old events could not be forgotten; it is tried again");
        }
        running.firehose.feed().await;
        let next = running.relays.tick(running.firehose.connected()).await;
        running.alarm.within(next.unwrap_or(QUIET_PRUNING).min(QUIET_PRUNING));
        worker::Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        if let Ok(running) = self.running().await {
            let length = match message {
                WebSocketIncomingMessage::String(text) => text.len(),
                WebSocketIncomingMessage::Binary(bytes) => bytes.len(),
            };
            running.firehose.said(&socket, length);
        }
        Ok(())
    }

    async fn websocket_close(&self, socket: WebSocket, _: usize, _: String, _: bool) -> worker::Result<()> {
        self.left(&socket).await
    }

    async fn websocket_error(&self, socket: WebSocket, _: worker::Error) -> worker::Result<()> {
        self.left(&socket).await
    }
}

/// What a request is answered with.
pub(crate) enum Answer {
    Whole(Response<Body>),
    /// The other end of a WebSocket.
    Stream(WebSocket),
}

impl Sequencer {
    async fn answer(&self, request: &worker::Request) -> Result<Answer> {
        let running = self.running().await?;
        let url = request.url().map_err(|error| invalid_request(error.to_string()))?;
        let parts =
            bridge::parts(request.inner(), running.settings.exempt.as_ref()).map_err(invalid_request)?;
        let value = match (&parts.method, parts.uri.path()) {
            (_, SUBSCRIBE) => return running.firehose.subscribe(&parts).await,
            (&Method::POST, "/deliver") => running.deliver(bridge::body(request.inner())).await?,
            (&Method::GET, "/list") => running.list(&url).await?,
            (&Method::GET, "/by-collection") => running.list_by_collection(&url).await?,
            (&Method::GET | &Method::HEAD, "/xrpc/_health") => running.health().await?,
            _ => return Err(unknown(&parts)),
        };
        Ok(Answer::Whole(([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()))
    }

    async fn left(&self, socket: &WebSocket) -> worker::Result<()> {
        if let Ok(running) = self.running().await {
            running.firehose.left(socket);
        }
        Ok(())
    }

    async fn running(&self) -> Result<Rc<Running>> {
        let mut running = self.running.lock().await;
        if let Some(running) = &*running {
            return Ok(Rc::clone(running));
        }
        Ok(Rc::clone(running.insert(Rc::new(self.open().await?))))
    }

    async fn open(&self) -> Result<Running> {
        let settings = host::settings(&self.env)?;
        let alarm = Rc::new(Alarm::of(storage_of(&self.state)).await?);
        let engine = Arc::new(self.storage.clone());
        let log = Arc::new(SharedLog::open(engine, Arc::new(EventClock), settings.config.retention).await?);
        let firehose = Firehose::open(Rc::clone(&self.state), Arc::clone(&log), Rc::clone(&alarm)).await?;
        let relays = Relays::open(&self.env, &settings, &self.storage, Arc::clone(&log)).await?;
        Ok(Running { log, firehose, relays, alarm, settings })
    }
}

impl Running {
    async fn deliver(&self, body: Body) -> Result<Value> {
        let bytes =
            to_bytes(body, limits::DELIVERY).await.map_err(|error| invalid_request(error.to_string()))?;
        let delivery = Delivery::decode(&bytes).map_err(|error| invalid_request(error.to_string()))?;
        self.alarm.within(self.relays.after_event().unwrap_or(PRUNING).min(PRUNING));
        let known = self.log.accept(delivery).await?;
        self.firehose.feed().await;
        Ok(known.into())
    }

    async fn list(&self, url: &Url) -> Result<Value> {
        let (after, limit) = place(url)?;
        let page = self.log.list(after, limit).await?;
        let entries = page.entries.iter().map(|repo| {
            json!({
                "did": repo.did.as_str(),
                "status": repo.status.to_string(),
                "head": repo.commit.to_string(),
                "rev": repo.rev.to_string(),
            })
        });
        Ok(json!({ "entries": entries.collect::<Vec<_>>(), "last": page.last }))
    }

    async fn list_by_collection(&self, url: &Url) -> Result<Value> {
        let (after, limit) = place(url)?;
        let collection = param(url, "collection").and_then(|name| Nsid::parse(&name).ok());
        let collection = collection.ok_or_else(|| invalid_request("There is no collection of that name."))?;
        let page = self.log.list_by_collection(collection, after, limit).await?;
        let entries: Vec<_> = page.entries.iter().map(|did| json!({ "did": did.as_str() })).collect();
        Ok(json!({ "entries": entries, "last": page.last }))
    }

    async fn health(&self) -> Result<Value> {
        let mut health = self.relays.health().await?;
        health.insert("subscribers".to_owned(), self.firehose.connected().into());
        Ok(health.into())
    }
}

/// Where a page of a list begins, and how long it is.
fn place(url: &Url) -> Result<(i64, i64)> {
    let number = |name: &str| param(url, name).and_then(|text| text.parse::<i64>().ok());
    match (number("after"), number("limit")) {
        (Some(after), Some(limit)) => Ok((after, limit.clamp(1, PAGE))),
        _ => Err(invalid_request("A list is asked for with after and limit.")),
    }
}

fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn unknown(parts: &Parts) -> Error {
    let text = format!("The Sequencer has nothing at {} {}.", parts.method, parts.uri.path());
    Error::new(StatusCode::NOT_FOUND, "NotFound", text)
}
