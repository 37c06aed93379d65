//! `com.atproto.sync.subscribeRepos`: the log, to everybody who listens, through WebSockets that stay while the object sleeps.
//!
//! A subscriber is a socket and a position in the log. In a *round* each is sent what comes after its position: a page is read
//! for each position that somebody has, and so once for all who are up to date. There is no other way to be sent an event, so
//! nobody is sent one twice or not at all, be it old or new. A round follows each delivery; as long as somebody is behind,
//! further ones follow.
//!
//! *Sleep.* The object is evicted when nobody asks for anything, and its sockets stay. It only sleeps when no round is to come,
//! so whoever has no position in the attachment of the socket is where the log ends. One that is behind has it there, written
//! after each page, in case the object ends all the same; an alarm wakes it then. After a panic, which may come between a commit
//! and its round, `entry.js` closes all sockets.
//!
//! *Slow readers.* The runtime keeps what a socket was sent until the other end takes it, and tells how much that is. A
//! subscriber has [`PIECE`] bytes; more is handed over when there is room. Frames that are larger come out of an allowance for
//! all, [`LARGE`]. Who takes nothing for a while, or is too many events behind, is let go. What cannot be done here: the
//! runtime keeps what was sent to a socket that is being closed until the connection has ended, and has no way to end it at
//! once. So such a socket keeps its place and its piece until the platform notices that nobody is there, and the number of
//! places is what bounds memory. Pings cannot be sent, nor pongs seen: one that is gone without a word is noticed when
//! something is sent to it. Pings of others are answered by the runtime.

use crate::alarm::Alarm;
use crate::sequencer::Answer;
use ::http::request::Parts;
use ::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rookery_pds::error::{Error, Result, internal, too_many};
use rookery_pds::limits::{ClientAddress, address_key};
use rookery_pds::sequencer::{Ends, Page, SharedLog, Start, Subscriber, cursor};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use worker::js_sys::{Date, Uint8Array};
use worker::{Delay, State, WebSocket, WebSocketPair, web_sys};

/// Sockets at a time, those of them that one address may have, and the events that one may fall behind.
const MOST: usize = 256;
const SHARE: usize = MOST / 4;
const LAG: u64 = 500_000;
/// Bytes that the runtime holds for a subscriber, and what it may hold beyond that for all together.
const PIECE: u64 = 128 * 1024;
const LARGE: u64 = 32 * 1024 * 1024;
/// Bytes that are read from the log at once.
const PAGE: usize = 128 * 1024;
/// How long somebody may take for what is held, and for each further [`SLOWEST`] bytes one second more.
const PATIENCE: f64 = 60_000.0;
const SLOWEST: f64 = 16.0 * 1024.0;
/// How soon the next round is where somebody has no room: longer each time nothing could be sent.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How soon an object that ends while somebody is behind is woken.
const WAKE: Duration = Duration::from_secs(20);
/// Subscribers have nothing to say: the largest message that is thrown away.
const INCOMING: usize = 4096;
/// RFC 6455, section 7.4.1.
const POLICY_VIOLATION: u16 = 1008;
const TOO_BIG: u16 = 1009;

pub(crate) struct Firehose {
    state: Rc<State>,
    log: Arc<SharedLog>,
    alarm: Rc<Alarm>,
    connections: RefCell<Vec<Connection>>,
    /// True while rounds follow one another.
    feeding: Cell<bool>,
}

struct Connection {
    socket: WebSocket,
    subscriber: Subscriber,
    /// True once it was told that its cursor is older than the log.
    told: bool,
    /// True while its position is in the attachment.
    noted: bool,
    /// Bytes that it was sent.
    sent: u64,
    /// What it has yet to take: up to here, since this time in milliseconds.
    takes: Option<(u64, f64)>,
}

/// How a round went.
struct Round {
    /// Somebody is behind.
    behind: bool,
    /// Something was sent.
    sent: bool,
}

impl Firehose {
    /// Goes on with the sockets that are there.
    pub(crate) async fn open(state: Rc<State>, log: Arc<SharedLog>, alarm: Rc<Alarm>) -> Result<Rc<Self>> {
        let sockets = state.get_websockets();
        let (connections, feeding) = (RefCell::default(), Cell::new(false));
        let firehose = Rc::new(Self { state, log, alarm, connections, feeding });
        for socket in sockets.into_iter().filter(is_open) {
            let at = socket.deserialize_attachment::<i64>().map_err(|error| internal(error.to_string()))?;
            let start = firehose.log.log.subscribe(at, LAG).await?;
            firehose.begin(socket, start, at.is_some());
        }
        firehose.go_on();
        Ok(firehose)
    }

    /// How many are subscribed.
    pub(crate) fn connected(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Makes a subscriber of whoever asks.
    pub(crate) async fn subscribe(self: &Rc<Self>, parts: &Parts) -> Result<Answer> {
        if let Some(response) = refuse(parts) {
            return Ok(Answer::Whole(response));
        }
        let cursor = cursor(parts)?;
        let address =
            parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| address_key(*address));
        let address = address.map(|address| format!("{address:x}"));
        // Those that are being closed take their places too.
        if self.state.get_websockets().len() >= MOST {
            return Err(full());
        }
        if address.as_ref().is_some_and(|tag| self.state.get_websockets_with_tag(tag).len() >= SHARE) {
            return Err(too_many(
                "This address has as many subscriptions open as one may have. Close one first.",
            ));
        }
        let start = self.log.log.subscribe(cursor, LAG).await?;
        let pair = WebSocketPair::new().map_err(|error| internal(error.to_string()))?;
        let tags: Vec<&str> = address.iter().map(String::as_str).collect();
        self.state.accept_websocket_with_tags(&pair.server, &tags);
        self.begin(pair.server, start, false);
        self.go_on();
        Ok(Answer::Stream(pair.client))
    }

    /// Sends what is new.
    pub(crate) async fn feed(self: &Rc<Self>) {
        if self.connected() == 0 {
            return;
        }
        match self.round().await {
            Ok(Round { behind: false, .. }) => {}
            Ok(_) => self.go_on(),
            Err(error) => {
                tracing::error!(%error, "the event log cannot be read; subscribers wait");
                self.go_on();
            }
        }
    }

    /// A subscriber said something.
    pub(crate) fn said(&self, socket: &WebSocket, length: usize) {
        if length > INCOMING {
            close(socket, TOO_BIG);
            self.connections.borrow_mut().retain(|connection| connection.socket != *socket);
        }
    }

    /// A subscriber says goodbye, or has gone without.
    pub(crate) fn left(&self, socket: &WebSocket) {
        if socket.as_ref().ready_state() != web_sys::WebSocket::CLOSED
            && let Err(thrown) = socket.as_ref().close()
        {
            tracing::debug!(error = ?thrown, "a subscriber was not answered its goodbye");
        }
        self.connections.borrow_mut().retain(|connection| connection.socket != *socket);
    }

    fn begin(&self, socket: WebSocket, start: Start, noted: bool) {
        match start {
            Start::Refused(frame) => {
                send(&socket, &Uint8Array::from(frame.as_slice()));
                close(&socket, POLICY_VIOLATION);
            }
            Start::From(subscriber, notice) => {
                let mut connection =
                    Connection { socket, subscriber, told: notice.is_some(), noted, sent: 0, takes: None };
                if let Some(frame) = notice {
                    connection.send(&Uint8Array::from(frame.as_slice()));
                }
                self.connections.borrow_mut().push(connection);
            }
        }
    }

    /// Round after round until nobody is behind.
    fn go_on(self: &Rc<Self>) {
        if self.connected() == 0 || self.feeding.replace(true) {
            return;
        }
        let firehose = Rc::clone(self);
        self.state.wait_until(async move {
            let mut pause = Duration::ZERO;
            loop {
                pause = match firehose.round().await {
                    Ok(Round { behind: false, .. }) => break,
                    Ok(Round { sent: true, .. }) => Duration::ZERO,
                    Ok(_) => (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
                    Err(error) => {
                        tracing::error!(%error, "the event log cannot be read; subscribers wait");
                        LONGEST_PAUSE
                    }
                };
                firehose.alarm.within(WAKE);
                Delay::from(pause).await;
            }
            firehose.feeding.set(false);
        });
    }

    /// Sends each what comes next and has room. Who is nearest to the end goes first.
    async fn round(&self) -> Result<Round> {
        let ends = self.log.log.ends().await?;
        self.connections.borrow_mut().retain_mut(|connection| connection.is_well(ends));
        let mut room = LARGE.saturating_sub(
            self.state.get_websockets().iter().map(|it| held(it).saturating_sub(PIECE)).sum(),
        );
        let mut round = Round { behind: false, sent: false };
        for at in self.positions(ends) {
            let page = self.page(at).await?;
            let frames: Vec<_> =
                page.frames.iter().map(|frame| Uint8Array::from(frame.bytes.as_slice())).collect();
            for connection in self.connections.borrow_mut().iter_mut() {
                if connection.subscriber.at().seq == at {
                    round.sent |= connection.take(&page, &frames, &mut room);
                }
            }
        }
        // Nothing can have been added since.
        for connection in self.connections.borrow_mut().iter_mut() {
            round.behind |= connection.note(ends);
        }
        Ok(round)
    }

    /// Where those are who can be sent something.
    fn positions(&self, ends: Ends) -> Vec<i64> {
        let connections = self.connections.borrow();
        let hungry = connections.iter().filter(|it| it.is_behind(ends) && held(&it.socket) <= PIECE / 2);
        let mut positions: Vec<i64> = hungry.map(|connection| connection.subscriber.at().seq).collect();
        positions.sort_unstable_by(|left, right| right.cmp(left));
        positions.dedup();
        positions
    }

    /// What comes after an event: one frame at least, where there is one.
    async fn page(&self, after: i64) -> Result<Page> {
        let page = self.log.log.events(after, PAGE).await?;
        match page.next.filter(|_| page.frames.is_empty()) {
            Some(needed) => self.log.log.events(after, needed).await,
            None => Ok(page),
        }
    }
}

impl Connection {
    /// False when it is let go, and told why.
    fn is_well(&mut self, ends: Ends) -> bool {
        if let Some(notice) = self.subscriber.outdated(ends)
            && !self.told
        {
            self.send(&Uint8Array::from(notice.as_slice()));
            self.told = true;
        }
        if let Some(frame) = self.subscriber.too_slow(ends) {
            self.send(&Uint8Array::from(frame.as_slice()));
        } else if is_open(&self.socket) && !self.is_stuck() {
            return true;
        }
        close(&self.socket, POLICY_VIOLATION);
        false
    }

    /// True when it has not taken in time what it was sent.
    fn is_stuck(&mut self) -> bool {
        let (held, now) = (held(&self.socket), Date::now());
        let taken = self.sent.saturating_sub(held);
        match self.takes {
            _ if held == 0 => self.takes = None,
            Some((upto, since)) if taken < upto => {
                #[expect(clippy::cast_precision_loss, reason = "bytes in memory")]
                let more = (held as f64 / SLOWEST) * 1_000.0;
                return now - since > PATIENCE + more;
            }
            _ => self.takes = Some((self.sent, now)),
        }
        false
    }

    fn is_behind(&self, ends: Ends) -> bool {
        self.subscriber.at().seq < ends.newest.seq
    }

    /// Takes as much of a page as there is room for. True when that is anything.
    fn take(&mut self, page: &Page, frames: &[Uint8Array], room: &mut u64) -> bool {
        let mut to = None;
        for (frame, bytes) in page.frames.iter().zip(frames) {
            let held = held(&self.socket);
            let large = (held + u64::from(bytes.length())).saturating_sub(PIECE);
            if (held > 0 && large > 0) || large > *room {
                break;
            }
            *room -= large;
            self.send(bytes);
            to = Some(frame.position);
        }
        if let Some(to) = to {
            self.subscriber.advance(to, page.ends);
        }
        to.is_some()
    }

    fn send(&mut self, frame: &Uint8Array) {
        self.sent += u64::from(frame.length());
        send(&self.socket, frame);
    }

    /// Leaves word where it is, when that is not the end. True when it is behind.
    fn note(&mut self, ends: Ends) -> bool {
        let behind = self.is_behind(ends);
        if behind || self.noted {
            let at = behind.then(|| self.subscriber.at().seq);
            if let Err(error) = self.socket.serialize_attachment(at) {
                tracing::error!(%error, "the position of a subscriber could not be kept");
            }
            self.noted = behind;
        }
        behind
    }
}

fn is_open(socket: &WebSocket) -> bool {
    socket.as_ref().ready_state() == web_sys::WebSocket::OPEN
}

/// Bytes that the runtime holds for the other end.
fn held(socket: &WebSocket) -> u64 {
    socket.as_ref().buffered_amount().into()
}

/// Sends a frame. One that has left meanwhile is noticed in the next round.
fn send(socket: &WebSocket, frame: &Uint8Array) {
    if let Err(thrown) = socket.as_ref().send_with_array_buffer_view(frame) {
        tracing::debug!(error = ?thrown, "a subscriber could not be sent an event");
        close(socket, POLICY_VIOLATION);
    }
}

fn close(socket: &WebSocket, code: u16) {
    if let Err(thrown) = socket.as_ref().close_with_code(code) {
        tracing::debug!(error = ?thrown, "a subscriber could not be let go");
    }
}

/// What a request that asks for no WebSocket is answered with. The rest of the handshake (RFC 6455, section 4.2) is the runtime's.
fn refuse(parts: &Parts) -> Option<Response> {
    if parts.method != Method::GET {
        let text = "This is a subscription: connect with a WebSocket, which begins with GET.";
        return Some(Error::new(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequest", text).into_response());
    }
    // The runtime makes a WebSocket of exactly this.
    let upgrade = parts.headers.get(header::UPGRADE).map(HeaderValue::as_bytes).unwrap_or_default();
    if upgrade.eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let text =
        "This is a subscription: connect with a WebSocket of version 13, at ws:// or wss:// instead of http.";
    let mut response = Error::new(StatusCode::UPGRADE_REQUIRED, "InvalidRequest", text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    Some(response)
}

fn full() -> Error {
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TooManySubscribers",
        "As many are subscribed as this server takes. Try again later.",
    )
}
