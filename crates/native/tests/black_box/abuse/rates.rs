//! Rates: who has used up its points is told so and waits; nobody else does.

use super::{audited, get_as, limited};
use crate::server::{Server, block_on};
use rookery_testkit::agent::{APPLY, CREATE, DELETE, PUT, UPLOAD, record, signup_body};
use rookery_testkit::answer::Answer;
use rookery_testkit::forge::Jwt;
use rookery_testkit::keys::{TestKey, unique};
use rookery_testkit::target::now;
use rookery_testkit::{Target, TestAgent};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const NOTE: &str = "com.example.rates";
/// For what comes back after a second or two.
const LONG: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Asserts the headers of an answer under a limit of `policy`, with so much left.
#[track_caller]
fn told(answer: &Answer, policy: &str, remaining: u32) {
    let (limit, window) = policy.split_once(";w=").unwrap();
    assert_eq!(answer.header("ratelimit-policy"), policy, "{answer}");
    assert_eq!(answer.header("ratelimit-limit"), limit, "{answer}");
    assert_eq!(answer.header("ratelimit-remaining"), remaining.to_string(), "{answer}");
    let resets: i64 = answer.header("ratelimit-reset").parse().unwrap();
    assert!(resets >= now() - 1 && resets <= now() + window.parse::<i64>().unwrap() + 1, "{answer}");
}

/// Asserts a refusal for now.
#[track_caller]
fn refused(answer: &Answer, policy: &str, remaining: u32) {
    answer.refused(429, "RateLimitExceeded");
    told(answer, policy, remaining);
    let wait: i64 = answer.header("retry-after").parse().unwrap();
    assert!(wait > 0 && answer.message().contains(&format!("in {wait} seconds")), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), "*", "{answer}");
}

fn creates(count: usize) -> Value {
    let create =
        json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "value": record(NOTE, json!({}))});
    json!({ "writes": vec![create; count] })
}

#[test]
fn writes_cost_their_account_what_they_do() {
    const POLICY: &str = "20;w=3600";
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[("ROOKERY_RATE_WRITES", "20/1h,1000/1d")]);
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let one = json!({"collection": NOTE, "rkey": "one", "record": record(NOTE, json!({}))});
        told(&agent.call(CREATE, one.clone()).await, POLICY, 17);
        told(&agent.call(PUT, one.clone()).await, POLICY, 15);
        let write = |kind: &str, rkey: &str| {
            let value = record(NOTE, json!({"n": 2}));
            json!({"$type": format!("{APPLY}#{kind}"), "collection": NOTE, "rkey": rkey, "value": value})
        };
        let mixed =
            json!({"writes": [write("create", "two"), write("update", "one"), write("delete", "one")]});
        let answer = agent.call(APPLY, mixed).await;
        answer.ok();
        told(&answer, POLICY, 9);
        // What fails has cost as much: the work was done.
        agent
            .call(CREATE, json!({"collection": NOTE, "rkey": "two", "record": record(NOTE, json!({}))}))
            .await
            .refused_with(409);
        told(&agent.call(DELETE, json!({"collection": NOTE, "rkey": "none"})).await, POLICY, 5);

        // More than is left: refused whole, and less still passes.
        let head = agent.head().await;
        let answer = agent.call(APPLY, creates(2)).await;
        refused(&answer, POLICY, 4);
        assert!(answer.message().contains("4 of 20"), "{answer}");
        assert_eq!(agent.head().await, head);
        told(&agent.call(CREATE, creates_one()).await, POLICY, 1);
        refused(&agent.call(CREATE, creates_one()).await, POLICY, 0);
        let head = agent.head().await;
        for nsid in [CREATE, PUT, DELETE, APPLY, UPLOAD] {
            refused(&agent.call(nsid, json!({})).await, POLICY, 0);
        }
        assert_eq!(agent.head().await, head);
        // By then no signature is looked at.
        let other = TestAgent { key: TestKey::p256(), ..agent.clone() };
        refused(&other.call(CREATE, creates_one()).await, POLICY, 0);

        // Reading is something else, and so is another account.
        assert_eq!(agent.get(NOTE, "two").await.header("ratelimit-policy"), "3000;w=300");
        told(&TestAgent::enroll(&server.target).await.call(CREATE, creates_one()).await, POLICY, 17);
    });
}

fn creates_one() -> Value {
    json!({"collection": NOTE, "record": record(NOTE, json!({}))})
}

#[test]
fn uploads_of_an_account_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[("ROOKERY_RATE_UPLOADS", "2/1h")]);
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        for left in [1, 0] {
            told(&agent.try_upload(None, unique().into()).await.unwrap(), "2;w=3600", left);
        }
        refused(&agent.try_upload(None, unique().into()).await.unwrap(), "2;w=3600", 0);
        agent.create(NOTE, json!({})).await;
        TestAgent::enroll(&server.target).await.upload(None, unique()).await;
    });
}

#[test]
fn requests_of_an_address_are_counted() {
    const POLICY: &str = "20;w=3600";
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("ROOKERY_RATE_READS", "20/1h"),
        ("ROOKERY_RATE_EXPORTS", "2/1h"),
        ("ROOKERY_RATE_EXEMPT", "192.0.2.0/24,127.0.0.1"),
    ];
    let server = limited(dir.path(), &settings);
    block_on(async {
        let target = &server.target;
        // Whatever is asked for, also what is not there.
        let paths = ["/tos", "/nothing", "/xrpc/com.example.none", "/xrpc/com.atproto.repo.getRecord"];
        for n in 0..20 {
            told(&get_as(target, "203.0.113.1", paths[n % 4]).await, POLICY, u32::try_from(19 - n).unwrap());
        }
        let subscribe = "/xrpc/com.atproto.sync.subscribeRepos";
        for path in ["/tos", "/xrpc/_health", subscribe, "/nothing"] {
            refused(&get_as(target, "203.0.113.1", path).await, POLICY, 0);
        }
        // What a client puts in front is not believed: the proxy's own entry is the last.
        refused(&get_as(target, "198.51.100.1, 203.0.113.1", "/tos").await, POLICY, 0);
        told(&get_as(target, "203.0.113.2", "/tos").await, POLICY, 19);
        told(&get_as(target, "2001:db8::1", "/tos").await, POLICY, 19);
        told(&get_as(target, "2001:db8::ffff:2", "/tos").await, POLICY, 18);
        told(&get_as(target, "2001:db8:0:1::1", "/tos").await, POLICY, 19);

        // Exports have a limit of their own, and there are addresses without any.
        let export = "/xrpc/com.atproto.sync.getRepo?did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
        for left in [1, 0] {
            told(&get_as(target, "203.0.113.1", export).await, "2;w=3600", left);
        }
        refused(&get_as(target, "203.0.113.1", export).await, "2;w=3600", 0);
        for _ in 0..30 {
            assert_eq!(get_as(target, "192.0.2.7", "/tos").await.header("ratelimit-limit"), "");
        }
    });
}

#[test]
fn who_is_no_trusted_proxy_cannot_say_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("ROOKERY_RATE_READS", "5/1h"), ("ROOKERY_TRUSTED_PROXIES", "192.0.2.1")];
    let server = limited(dir.path(), &settings);
    block_on(async {
        for n in 0..5 {
            told(&get_as(&server.target, &format!("203.0.113.{n}"), "/tos").await, "5;w=3600", 4 - n);
        }
        refused(&get_as(&server.target, "203.0.113.99", "/tos").await, "5;w=3600", 0);
    });
    audited(server, dir.path());
}

/// Enrolls by way of the proxy.
async fn signup_as(target: &Target, address: &str) -> Answer {
    let (key, terms) = (TestKey::p256(), get_as(target, "192.0.2.1", "/tos").await.body);
    let url = format!("{}/api/signup", target.url);
    let proof = Jwt::proof(&key, "POST", &url, None).sign(&key);
    let headers = [
        ("dpop", proof.as_bytes()),
        ("content-type", b"application/json".as_slice()),
        ("x-forwarded-for", address.as_bytes()),
    ];
    let body = signup_body(target, &key, &terms, &unique()).to_string();
    target.send("POST", &url, &headers, body.into()).await
}

#[test]
fn enrollments_of_an_address_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[("ROOKERY_RATE_SIGNUPS", "2/1h")]);
    block_on(async {
        for left in [1, 0] {
            let answer = signup_as(&server.target, "203.0.113.1").await;
            answer.ok();
            told(&answer, "2;w=3600", left);
        }
        refused(&signup_as(&server.target, "203.0.113.1").await, "2;w=3600", 0);
        signup_as(&server.target, "203.0.113.2").await.ok();
        assert_eq!(get_as(&server.target, "203.0.113.1", "/tos").await.status, 200);
    });
}

#[test]
fn failed_authentications_of_an_address_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[("ROOKERY_RATE_FAILURES", "3/1h")]);
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let (url, authorization) = (server.target.xrpc(CREATE), format!("DPoP {}", agent.token));
        let write_as = async |address: &str, proof: &str| {
            let headers = [
                ("authorization", authorization.as_bytes()),
                ("dpop", proof.as_bytes()),
                ("content-type", b"application/json".as_slice()),
                ("x-forwarded-for", address.as_bytes()),
            ];
            let body = json!({"repo": agent.did, "collection": NOTE, "record": record(NOTE, json!({}))});
            server.target.send("POST", &url, &headers, body.to_string().into()).await
        };
        let good = || agent.proof(CREATE).sign(&agent.key);
        let other = TestKey::p256();
        let bad = [agent.proof(CREATE).sign(&other), agent.proof(PUT).sign(&agent.key), "x".to_owned()];
        // Success costs nothing.
        for _ in 0..5 {
            write_as("203.0.113.1", &good()).await.ok();
        }
        for proof in bad {
            write_as("203.0.113.1", &proof).await.refused(401, "AuthFailed");
        }
        let head = agent.head().await;
        refused(&write_as("203.0.113.1", &good()).await, "3;w=3600", 0);
        assert_eq!(agent.head().await, head);
        write_as("203.0.113.2", &good()).await.ok();
    });
}

#[test]
fn points_come_back_at_the_end_of_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("ROOKERY_RATE_READS", "40/2s"),
        ("ROOKERY_RATE_WRITES", "30/2s,100000/1d"),
        ("ROOKERY_RATE_EXEMPT", "127.0.0.1"),
    ];
    let server = limited(dir.path(), &settings);
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        for _ in 0..2 {
            until(429, async || agent.call(CREATE, creates_one()).await).await;
            until(200, async || agent.call(CREATE, creates_one()).await).await;
            until(429, async || get_as(&server.target, "203.0.113.1", "/tos").await).await;
            until(200, async || get_as(&server.target, "203.0.113.1", "/tos").await).await;
        }
    });
}

/// Asks until the answer has this status.
async fn until(status: u16, ask: impl AsyncFn() -> Answer) {
    let asking = async {
        while ask().await.status != status {
            if status == 200 {
                sleep(PAUSE).await;
            }
        }
    };
    timeout(LONG, asking).await.unwrap_or_else(|_| panic!("never answered with {status}"));
}

#[test]
fn limits_that_are_off_are_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        for answer in
            [agent.call(CREATE, creates_one()).await, get_as(&server.target, "203.0.113.1", "/tos").await]
        {
            assert_eq!((answer.status, answer.header("ratelimit-limit")), (200, ""), "{answer}");
        }
    });
}
