//! Relays as the server treats them: when they are asked, and that nobody waits for them.

use crate::relay::Relay;
use crate::server::{Server, block_on, rookery, serve};
use rookery_testkit::{Target, TestAgent};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NOTE: &str = "com.example.relay";
/// Nothing listens there.
const GONE: &str = "http://127.0.0.1:1";
const ATTEMPTS: usize = 3_000;
const PAUSE: Duration = Duration::from_millis(10);

fn serve_with(data_dir: &Path, relays: &[&str]) -> Command {
    let mut command = serve(data_dir);
    command.env("ROOKERY_RELAY_HOSTS", relays.join(","));
    command
}

/// `_health`, once it is as expected.
async fn health(target: &Target, expected: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..ATTEMPTS {
        last = target.get("/xrpc/_health").await.ok();
        assert!(last["version"].is_string(), "{last}");
        if expected(&last) {
            return last;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("never as expected: {last}");
}

fn says(health: &Value, words: &str) -> bool {
    health["relays"][0]["problem"].as_str().is_some_and(|problem| problem.contains(words))
}

#[test]
fn a_relay_is_asked_after_the_first_account_and_not_before() {
    block_on(async {
        let mut relay = Relay::start().await;
        let dir = tempfile::tempdir().unwrap();
        let server = Server::run(serve_with(dir.path(), &[&relay.url]));
        let empty = health(&server.target, |health| health["accounts"].is_object()).await;
        assert_eq!(empty["accounts"], json!({"active": 0, "relayCap": 100}));
        assert_eq!(empty["relays"], json!([{"host": relay.url}]));
        let before = Instant::now();
        TestAgent::enroll(&server.target).await;
        let crawl = relay.next_crawl().await;
        assert!(crawl.at > before, "asked without an account");
        let port = server.target.url.rsplit(':').next().unwrap();
        assert_eq!(crawl.body, json!({"hostname": format!("localhost:{port}")}));
        crawl.accept();
        let asked = health(&server.target, |health| health["relays"][0]["lastCrawl"].is_string()).await;
        assert_eq!(asked["accounts"]["active"], 1);
    });
}

#[test]
fn relays_are_asked_at_the_start_of_a_server_that_has_accounts() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path());
        TestAgent::enroll(&server.target).await;
        let bare = server.target.get("/xrpc/_health").await.ok();
        let silent = bare.get("relays").is_none() && bare.get("accounts").is_none();
        assert!(silent, "nobody to tell, nothing to say: {bare}");
        server.kill();

        let (mut one, mut other) = (Relay::start().await, Relay::start().await);
        let _server = Server::run(serve_with(dir.path(), &[&one.url, &other.url]));
        one.next_crawl().await.accept();
        other.next_crawl().await.accept();
    });
}

#[test]
fn a_relay_that_fails_is_asked_again() {
    block_on(async {
        let mut relay = Relay::start().await;
        let dir = tempfile::tempdir().unwrap();
        let server = Server::run(serve_with(dir.path(), &[&relay.url]));
        TestAgent::enroll(&server.target).await;
        relay.next_crawl().await.refuse(503, &[], "Busy");
        let crawl = relay.next_crawl().await;
        health(&server.target, |health| says(health, "503: Busy: said by the test")).await;
        crawl.refuse(400, &[], "HostNotFound");
        relay.next_crawl().await.accept();
        relay.knows(json!({"status": "active", "seq": 7, "accountCount": 1}));
        let asked = health(&server.target, |health| health["relays"][0]["status"].is_string()).await;
        let told = &asked["relays"][0];
        assert_eq!(
            (&told["status"], &told["seq"], &told["accounts"]),
            (&json!("active"), &json!(7), &json!(1))
        );
        assert!(told.get("problem").is_none() && told["lastCrawl"].is_string(), "{told}");
    });
}

#[test]
fn a_relay_is_not_asked_before_the_time_that_it_names() {
    block_on(async {
        let mut relay = Relay::start().await;
        let dir = tempfile::tempdir().unwrap();
        let server = Server::run(serve_with(dir.path(), &[&relay.url]));
        TestAgent::enroll(&server.target).await;
        let first = relay.next_crawl().await;
        let at = first.at;
        first.refuse(429, &[("retry-after", "4")], "RateLimitExceeded");
        let second = relay.next_crawl().await;
        assert!(second.at - at >= Duration::from_secs(4), "{:?}", second.at - at);
        second.accept();
    });
}

#[test]
fn a_relay_that_bans_this_server_is_reported_and_not_asked_in_a_loop() {
    block_on(async {
        let mut relay = Relay::start().await;
        let dir = tempfile::tempdir().unwrap();
        let server = Server::run(serve_with(dir.path(), &[&relay.url]));
        TestAgent::enroll(&server.target).await;
        relay.knows(json!({"status": "banned"}));
        relay.next_crawl().await.refuse(400, &[], "HostBanned");
        health(&server.target, |health| says(health, "HostBanned")).await;
        // That takes longer than the wait after a failure that is not final.
        let banned = health(&server.target, |health| health["relays"][0]["status"] == "banned").await;
        assert!(says(&banned, "has banned this server"), "{banned}");
        assert!(!relay.was_asked());
    });
}

#[test]
fn nobody_waits_for_a_relay_that_hangs_or_is_gone() {
    block_on(async {
        let (mut hanging, mut other) = (Relay::start().await, Relay::start().await);
        let dir = tempfile::tempdir().unwrap();
        let server = Server::run(serve_with(dir.path(), &[&hanging.url, GONE, &other.url]));
        let agent = TestAgent::enroll(&server.target).await;
        let crawl = hanging.next_crawl().await;
        other.next_crawl().await.accept();
        for n in 0..20 {
            agent.create(NOTE, json!({"n": n})).await;
        }
        TestAgent::enroll(&server.target).await;
        server.target.get("/xrpc/_health").await.ok();
        server.audit();
        server.terminate();
        let (exit, _) = server.wait();
        assert!(exit.success(), "{exit}");
        // It was hanging all the time.
        drop(crawl);
    });
}

#[test]
fn health_warns_before_the_accounts_are_more_than_relays_take() {
    block_on(async {
        let relay = Relay::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut command = serve_with(dir.path(), &[&relay.url]);
        command.env("ROOKERY_RELAY_ACCOUNT_CAP", "5");
        let server = Server::run(command);
        for active in 1..=5 {
            TestAgent::enroll(&server.target).await;
            let now = health(&server.target, |health| health["accounts"]["active"] == active).await;
            assert_eq!(now["accounts"]["relayCap"], 5);
            let warning = now["accounts"]["warning"].as_str().unwrap_or_default();
            match active {
                ..4 => assert_eq!(warning, "", "{now}"),
                4 => assert!(warning.contains("throttled soon"), "{now}"),
                _ => assert!(warning.contains("throttled now"), "{now}"),
            }
        }
    });
}

/// A server under a public name, which is not reachable by it.
fn serve_public(data_dir: &Path) -> Command {
    let mut command = rookery();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--hostname", "pds.example.com", "--data-dir"])
        .arg(data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_public_server_without_relays_says_what_that_means() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running(serve_public(dir.path()).spawn().unwrap());
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let said = log.lines().map(Result::unwrap).find(|line| line.contains("no relay is told"));
    assert!(said.unwrap().contains("ROOKERY_RELAY_HOSTS"));
}

#[test]
fn relays_are_told_the_public_name() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path());
        TestAgent::enroll(&server.target).await;
        // The one after it is somewhere that cannot be reached.
        server.audit();
        server.kill();
        let mut relay = Relay::start().await;
        let mut command = serve_public(dir.path());
        command.env("ROOKERY_RELAY_HOSTS", &relay.url).stderr(Stdio::null());
        let _running = Running(command.spawn().unwrap());
        let crawl = relay.next_crawl().await;
        assert_eq!(crawl.hostname(), "pds.example.com");
        crawl.accept();
    });
}
