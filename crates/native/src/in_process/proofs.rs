//! Proofs on a host that remembers all of them in its store, since its process may end after any request.

use super::Host;
use bytes::Bytes;
use rookery_pds::config::{Config, ProofMemory};
use rookery_testkit::agent::{CREATE, MISSING_BLOBS, PUT, UPLOAD, record};
use rookery_testkit::forge::Jwt;
use rookery_testkit::target::now;
use rookery_testkit::{Answer, TestAgent};
use rusqlite::Connection;
use serde_json::{Value, json};

const NOTE: &str = "com.example.proofs";

/// A request that can be sent again and again.
struct Request {
    nsid: &'static str,
    kind: &'static str,
    /// None for a query.
    body: Option<Bytes>,
    proof: String,
}

/// One of each kind, with proofs that are older than any process of the host.
fn requests(agent: &TestAgent) -> Vec<Request> {
    let json = |nsid, mut input: Value| {
        input["repo"] = agent.did.as_str().into();
        input["collection"] = NOTE.into();
        input["record"] = record(NOTE, json!({}));
        (nsid, "application/json", Some(Bytes::from(input.to_string())))
    };
    // The second put finds nothing to do, and the second upload a blob that is there.
    let put = || json(PUT, json!({"rkey": "self"}));
    let upload = || (UPLOAD, "text/plain", Some(Bytes::from_static(b"a blob")));
    let all = [(MISSING_BLOBS, "", None), json(CREATE, json!({})), put(), put(), upload(), upload()];
    let sign = |nsid, method| {
        let proof = Jwt::proof(&agent.key, method, &agent.target.xrpc(nsid), Some(&agent.token));
        proof.claim("iat", now() - 60).sign(&agent.key)
    };
    let request = |(nsid, kind, body): (&'static str, _, Option<Bytes>)| {
        let proof = sign(nsid, if body.is_some() { "POST" } else { "GET" });
        Request { nsid, kind, body, proof }
    };
    all.into_iter().map(request).collect()
}

async fn send(agent: &TestAgent, request: &Request) -> Answer {
    let authorization = format!("DPoP {}", agent.token);
    let headers = [
        ("authorization", authorization.as_bytes()),
        ("dpop", request.proof.as_bytes()),
        ("content-type", request.kind.as_bytes()),
    ];
    let method = if request.body.is_some() { "POST" } else { "GET" };
    let body = request.body.clone().unwrap_or_default();
    agent.target.send(method, &agent.target.xrpc(request.nsid), &headers, body).await
}

async fn taken(agent: &TestAgent, requests: &[Request]) {
    for request in requests {
        let answer = send(agent, request).await;
        assert_eq!(answer.status, 200, "{answer}");
    }
}

async fn refused(agent: &TestAgent, requests: &[Request]) {
    for request in requests {
        let answer = send(agent, request).await;
        assert_eq!(answer.status, 401, "{answer}");
        answer.challenged("invalid_dpop_proof");
    }
}

fn kept(host: &Host) -> usize {
    let database = Connection::open(host.dir.path().join("test.db")).unwrap();
    database.query_row("SELECT count(*) FROM used_proof", [], |row| row.get::<_, u32>(0)).unwrap() as usize
}

#[tokio::test]
async fn a_proof_kept_in_the_store_works_once_in_whichever_process_it_comes_first() {
    let host = Host::with(|_, config, ports| (Config { proofs: ProofMemory::Store, ..config }, ports)).await;
    let agent = TestAgent::enroll(&host.target).await;
    let (first, second) = (requests(&agent), requests(&agent));
    let before = kept(&host);
    taken(&agent, &first).await;
    assert_eq!(kept(&host), before + first.len(), "each is consumed, once");

    let host = host.restart().await;
    refused(&agent, &first).await;
    taken(&agent, &second).await;
    refused(&agent, &second).await;
    assert_eq!(kept(&host), before + first.len() + second.len());
    // It forgets none that could be taken again.
    host.app.maintain().await.unwrap();

    let host = host.restart().await;
    refused(&agent, &first).await;
    refused(&agent, &second).await;
    host.audit().await;
}

#[tokio::test]
async fn a_proof_kept_in_the_process_costs_a_query_no_write_and_is_refused_by_the_next() {
    let host = Host::with(|_, config, ports| (config, ports)).await;
    let agent = TestAgent::enroll(&host.target).await;
    // Nothing is known of an earlier process yet.
    let (used, unused) = (requests(&agent), requests(&agent));
    let before = kept(&host);
    taken(&agent, &used[..1]).await;
    assert_eq!(kept(&host), before);

    let host = host.restart().await;
    refused(&agent, &used).await;
    refused(&agent, &unused).await;
    host.audit().await;
}
