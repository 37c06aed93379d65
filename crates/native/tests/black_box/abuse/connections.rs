//! Connections that do nothing, or hardly anything, and very many at once.

use super::{Line, audited, get_as, health, limited};
use crate::server::{Server, block_on};
use futures_util::future::join_all;
use rookery_testkit::agent::CREATE;
use rookery_testkit::{Target, TestAgent};
use serde_json::json;
use std::time::Duration;
use tokio::time::{interval, sleep, timeout};

const NOTE: &str = "com.example.connections";
const HANGING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// An agent that comes now enrolls, writes, reads and exports.
async fn is_served(target: &Target) {
    let work = async {
        let agent = TestAgent::enroll(target).await;
        agent.create(NOTE, json!({})).await;
        rookery_testkit::repo::verified(target, &agent.did).await;
    };
    timeout(HANGING, work).await.expect("a client is served meanwhile");
}

#[test]
fn slow_clients_stop_nobody() {
    const CLIENTS: usize = 400;
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        let mut slow = Vec::new();
        for n in 0..CLIENTS {
            let mut line = Line::open(target).await;
            // Half of them trickle a head, the others a body.
            let start = match n % 2 {
                0 => "GET /xrpc/_health HTTP/1.1\r\nX-Slow: ".to_owned(),
                _ => format!(
                    "POST /xrpc/{CREATE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
                ),
            };
            line.send(start.as_bytes()).await.unwrap();
            slow.push(line);
        }
        let trickle = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(200));
            loop {
                ticks.tick().await;
                for line in &mut slow {
                    // Those that the server has had enough of are gone.
                    let _ = line.send(b"a").await;
                }
            }
        });
        for _ in 0..5 {
            is_served(target).await;
        }
        trickle.abort();
    });
}

#[test]
fn a_thousand_clients_that_come_at_once_are_all_served() {
    const CLIENTS: usize = 1000;
    #[cfg(unix)]
    crate::firehose::allow_many_files();
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        for _ in 0..2 {
            let clients = (0..CLIENTS).map(|_| async { Line::open(target).await.ask(&health(target)).await });
            let statuses = timeout(HANGING, join_all(clients)).await.expect("all are answered");
            assert!(statuses.iter().all(|status| *status == Some(200)), "{statuses:?}");
        }
    });
}

#[test]
fn heads_are_bounded_in_size_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        let with =
            |headers: String| format!("GET /xrpc/_health HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
        for (headers, status) in [
            ("X-A: 1\r\n".repeat(99), 200),
            ("X-A: 1\r\n".repeat(100), 431),
            (format!("X-A: {}\r\n", "a".repeat(60_000)), 200),
            (format!("X-A: {}\r\n", "a".repeat(140_000)), 431),
        ] {
            let length = headers.len();
            assert_eq!(Line::open(target).await.ask(&with(headers)).await, Some(status), "{length}");
        }
    });
}

#[test]
fn an_address_has_a_share_of_the_exports_and_subscriptions() {
    const EXPORTS: usize = 16;
    const LARGE: usize = 900_000;
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[("ROOKERY_SUBSCRIBERS", "8")]);
    let target = &server.target;
    block_on(async {
        let agent = TestAgent::enroll(target).await;
        // More than the sockets hold, so that who does not read keeps its place.
        for _ in 0..12 {
            agent.create(NOTE, json!({"text": "a".repeat(LARGE)})).await;
        }
        let path = format!("/xrpc/com.atproto.sync.getRepo?did={}", agent.did);
        let as_client = |path: &str, address: &str, more: &str| {
            let host = target.authority();
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {address}\r\n{more}\r\n")
                .into_bytes()
        };
        let mut exports = Vec::new();
        for _ in 0..EXPORTS {
            let mut line = Line::open(target).await;
            line.send(&as_client(&path, "203.0.113.1", "")).await.unwrap();
            assert!(line.begins().await);
            exports.push(line);
        }
        get_as(target, "203.0.113.1", &path).await.refused(429, "RateLimitExceeded");
        assert_eq!(get_as(target, "203.0.113.2", &path).await.status, 200);
        exports.pop();
        let again = async {
            while get_as(target, "203.0.113.1", &path).await.status != 200 {
                sleep(PAUSE).await;
            }
        };
        timeout(HANGING, again).await.expect("there is a place again");

        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
        let subscribe = async |address: &str| {
            let mut line = Line::open(target).await;
            let request = as_client("/xrpc/com.atproto.sync.subscribeRepos", address, upgrade);
            (line.ask(&request).await, line)
        };
        let mut open = Vec::new();
        for (address, status) in [
            ("203.0.113.1", 101),
            ("203.0.113.1", 101),
            ("203.0.113.1", 429),
            ("203.0.113.2", 101),
            ("203.0.113.2", 101),
            ("203.0.113.2", 429),
        ] {
            let (answered, line) = subscribe(address).await;
            assert_eq!(answered, Some(status), "{address}");
            open.push(line);
        }
    });
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing on this machine is a proxy.
    let settings = [("ROOKERY_TRUSTED_PROXIES", "192.0.2.1"), ("ROOKERY_CONNECTIONS_PER_ADDRESS", "20")];
    let server = limited(dir.path(), &settings);
    bounded(&server, 20, 429);
    audited(server, dir.path());
}

#[test]
fn there_are_so_many_connections_in_all_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[("ROOKERY_CONNECTIONS", "20")]);
    bounded(&server, 20, 503);
    audited(server, dir.path());
}

/// With `most` connections open, a further one is closed at once; when one is closed, another is served.
fn bounded(server: &Server, most: usize, status: u16) {
    let target = &server.target;
    let ask = health(target);
    block_on(async {
        let mut open = Vec::new();
        for _ in 0..most {
            let mut line = Line::open(target).await;
            assert_eq!(line.ask(&ask).await, Some(200));
            open.push(line);
        }
        for _ in 0..100 {
            // Told before it has asked for anything.
            assert_eq!(timeout(HANGING, Line::open(target).await.status()).await.unwrap(), Some(status));
        }
        assert_eq!(open[0].ask(&ask).await, Some(200), "those that are open stay so");
        open.pop();
        let again = async {
            while Line::open(target).await.ask(&ask).await != Some(200) {
                sleep(PAUSE).await;
            }
        };
        timeout(HANGING, again).await.expect("there is a place again");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_idle_connections_leave_the_server_answering() {
    const IDLE: usize = 10_000;
    /// Bytes of memory for each, at most.
    const EACH: usize = 24 * 1024;
    crate::firehose::allow_many_files();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < 14_000 {
        eprintln!("skipped: this needs 14000 open files in each process, {files} are allowed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    let before = server.peak_memory();
    block_on(async {
        let mut idle = Vec::with_capacity(IDLE);
        for n in 0..IDLE {
            let mut line = Line::open(target).await;
            // One in ten has been in use before.
            if n % 10 == 0 {
                assert_eq!(line.ask(&health(target)).await, Some(200));
            }
            idle.push(line);
        }
        is_served(target).await;
        // They are still there: the last of them have not even been idle for long.
        assert_eq!(idle[IDLE - 1].ask(&health(target)).await, Some(200));
        is_served(target).await;
        let grown = server.peak_memory() - before;
        assert!(grown < IDLE * EACH, "{grown} bytes for {IDLE} connections");
    });
}
