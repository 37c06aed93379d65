//! Connections: accepted, bounded in number and time, and let go when the server stops.

use super::client;
use super::linger::Lingering;
use super::listen::Listeners;
use super::signals::Signals;
use super::stall::{self, Outgoing};
use crate::config::Clients;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rookery_pds::limits::{Full, Place, Places};
use std::io::{self, Write};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A request's head has to come within this time, and so has the next one on an open connection.
const HEAD: Duration = Duration::from_secs(30);
/// Buffer of a connection, and so the most a request's head may be. A proof and a token take about 12 KiB.
const BUFFER: usize = 64 * 1024;
/// How long requests in flight may take once the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// Pause when the process has no descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What a connection over a bound is told, in one write and without waiting, before it is closed.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: application/json\r\n\r\n\
    {\"error\":\"Overloaded\",\"message\":\"The server has as many connections as it takes. Try again later.\"}";
const TOO_MANY_OF_YOURS: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: application/json\r\n\r\n\
    {\"error\":\"RateLimitExceeded\",\"message\":\"This address has too many connections open. Close some first.\"}";

/// Serves until a signal comes, then finishes what is in flight. A second signal ends that too. `stopping` is called at the
/// first: connections that have become something else than HTTP are not waited for here.
pub(super) async fn serve(
    listeners: Listeners,
    router: Router,
    clients: Arc<Clients>,
    mut signals: Signals,
    stopping: impl FnOnce(),
) {
    // Each connection has a receiver, so that those that are left can be counted and waited for.
    let (stop, stopped) = watch::channel(false);
    let places = Places::new(clients.connections_per_address, clients.connections);
    loop {
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            () = signals.next() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = match places.enter(client::connection_key(&clients, peer), 1) {
                    Ok(place) => place,
                    Err(full) => {
                        turn_away(stream, full);
                        continue;
                    }
                };
                let router = TowerToHyperService::new(router.clone());
                let service = FromPeer { peer, clients: Arc::clone(&clients), router };
                let stream = Lingering::new(Outgoing::new(stream, stall::LIMIT));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .max_buf_size(BUFFER)
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(run(connection, stopped.clone(), place));
            }
            Err(error) if of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                sleep(EXHAUSTED).await;
            }
        }
    }
    drop(listeners);
    stopping();
    drop(stopped);
    stop.send_replace(true);
    tracing::info!(connections = stop.receiver_count(), "stopping");
    tokio::select! {
        finished = timeout(GRACE, stop.closed()) => if finished.is_err() {
            tracing::warn!("requests were still in flight after {} s", GRACE.as_secs());
        },
        () = signals.next() => tracing::warn!("a second signal: not waiting for requests in flight"),
    }
}

/// Serves one connection, until it ends or has become something else. Once the server stops, the request that is in
/// flight is its last.
async fn run(
    connection: UpgradeableConnection<TokioIo<Lingering<Outgoing<TcpStream>>>, FromPeer>,
    mut stopped: watch::Receiver<bool>,
    place: Place<u64>,
) {
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
    drop(place);
}

/// Tells every request where it is from.
struct FromPeer {
    peer: IpAddr,
    clients: Arc<Clients>,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for FromPeer {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(address) = client::address(&self.clients, self.peer, request.headers()) {
            request.extensions_mut().insert(address);
        }
        self.router.call(request)
    }
}

/// Closes a connection that is one too many. It costs no task and no wait; whether the client reads why is left open.
fn turn_away(stream: TcpStream, full: Full) {
    let told = match full {
        Full::All => TOO_MANY,
        Full::Own => TOO_MANY_OF_YOURS,
    };
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(told);
    }
}

/// Trouble of a single connection, over before it was accepted.
fn of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
