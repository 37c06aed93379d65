//! Against a scripted service: what is sent at enrollment, and what becomes of the answer.

use super::*;
use crate::agent::Agent;
use crate::fake_server::{Answer, FakeServer, claims, ok};
use crate::keys::Alg;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TERMS: &str = "Be kind.\r\n\u{e9} ";
const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

fn enrolled(did: &str, token: &str) -> Answer {
    ok(&json!({ "access_token": token, "token_type": "DPoP", "did": did, "handle": "alice.test" }))
}

fn terms() -> Answer {
    Answer::Http("200 OK\r\nContent-Type: text/plain", TERMS.to_owned())
}

#[tokio::test]
async fn the_exact_bytes_of_the_terms_are_signed_and_the_token_that_comes_back_is_used() {
    let script = vec![terms(), enrolled(DID, "its.own.token"), ok(&json!({}))];
    let server = FakeServer::start(script).await;
    let key = AgentKey::generate(Alg::EdDsa).await.unwrap();
    let enroll = Enroll::new(&server.url, "alice", key.clone()).unwrap();
    let recovery_key = enroll.recovery_key.as_ref().unwrap().did_key();
    let agent = Agent::enroll(enroll).await.unwrap();
    agent.procedure::<Value>("a.b.c", &json!({})).await.unwrap();

    let seen = server.seen();
    assert!(seen[0].head.starts_with("GET /tos "));
    assert!(seen[1].head.starts_with("POST /api/signup "));
    assert_eq!(seen[1].proof().get("ath"), None);
    let body: Value = serde_json::from_slice(&seen[1].body).unwrap();
    let jwk = key.public_jwk().to_json();
    let public = BASE64URL_NOPAD.decode(jwk["x"].as_str().unwrap().as_bytes()).unwrap();
    let signature = BASE64URL_NOPAD.decode(body["tos_signature"].as_str().unwrap().as_bytes()).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(TERMS.as_bytes(), &signature).unwrap();
    assert_eq!((&body["handle"], &body["recoveryKey"]), (&json!("alice"), &json!(recovery_key)));
    assert_eq!(body.get("ref"), None);

    let proposed = claims(body["access_token"].as_str().unwrap());
    assert_eq!(proposed["tos_hash"], BASE64URL_NOPAD.encode(&Sha256::digest(TERMS)));
    assert_eq!(proposed["aud"], server.url);
    assert_eq!(proposed["cnf"]["jkt"], key.thumbprint().to_string());

    assert_eq!(seen[2].header("authorization"), Some("DPoP its.own.token"));
    let ath = BASE64URL_NOPAD.encode(&Sha256::digest("its.own.token"));
    assert_eq!(seen[2].proof()["ath"], ath);
}

#[tokio::test]
async fn accepting_new_terms_keeps_the_account_or_fails() {
    let other = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    let script = vec![
        terms(),
        enrolled(DID, "t.1.t"),
        terms(),
        enrolled(DID, "t.2.t"),
        terms(),
        enrolled(other, "t.3.t"),
    ];
    let server = FakeServer::start(script).await;
    let key = AgentKey::generate(Alg::EdDsa).await.unwrap();
    let agent = Agent::enroll(Enroll::new(&server.url, "alice", key).unwrap()).await.unwrap();
    agent.reconsent().await.unwrap();
    assert_eq!(agent.profile().access_token, "t.2.t");
    assert!(agent.reconsent().await.unwrap_err().to_string().contains(other));
    assert_eq!(agent.profile().access_token, "t.2.t");
    let again: Value = serde_json::from_slice(&server.seen()[3].body).unwrap();
    assert_eq!((&again["handle"], again.get("recoveryKey")), (&json!("alice.test"), None));
}

#[tokio::test]
async fn empty_terms_are_not_signed() {
    let server = FakeServer::start(vec![Answer::Http("200 OK", String::new())]).await;
    let key = AgentKey::generate(Alg::EdDsa).await.unwrap();
    let error = Agent::enroll(Enroll::new(&server.url, "alice", key).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("nothing to sign"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_saved_agent_is_the_same_agent() {
    let server = FakeServer::start(vec![terms(), enrolled(DID, "t.1.t")]).await;
    let key = AgentKey::generate(Alg::Es256).await.unwrap();
    let agent = Agent::enroll(Enroll::new(&server.url, "alice", key).unwrap()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let profile = crate::ProfileStore::at(dir.path()).profile("alice").unwrap();
    assert!(Agent::from_profile(&profile).unwrap_err().to_string().contains("rookery agent enroll"));
    agent.save(&profile).unwrap();
    let loaded = Agent::from_profile(&profile).unwrap();
    assert_eq!(loaded.profile(), agent.profile());
    assert_eq!(loaded.key().thumbprint(), agent.key().thumbprint());
}

#[test]
fn a_url_that_is_more_than_an_origin_is_sent_as_ref() {
    let key = AgentKey::generate_blocking(Alg::EdDsa).unwrap();
    let entry = |url: &str, ref_: Option<&str>| {
        let mut enroll = Enroll::new(url, "alice", key.clone()).unwrap();
        enroll.ref_ = ref_.map(str::to_owned);
        enroll.entry_url()
    };
    assert_eq!(entry("http://localhost:2583", None), None);
    assert_eq!(entry("localhost:2583/", None), None);
    assert_eq!(entry("https://a.example/join#Code", None).as_deref(), Some("https://a.example/join#Code"));
    assert_eq!(entry("a.example/join#Code", None).as_deref(), Some("a.example/join#Code"));
    assert_eq!(entry("https://a.example", Some("x")).as_deref(), Some("x"));
}

/// Agents are shared between tasks.
#[test]
fn what_an_agent_does_can_run_on_any_thread() {
    fn sendable(_: impl Send) {}
    fn check(agent: &Agent, enroll: Enroll) {
        sendable(agent.create_record("a.b.c", None, &Value::Null));
        sendable(agent.whoami());
        sendable(agent.reconsent());
        sendable(Agent::enroll(enroll));
    }
    let _ = check;
}
