//! Many at once.

use crate::agent::{APPLY, TestAgent, commit_of, record, signup, signup_body};
use crate::keys::{TestKey, unique};
use crate::repo;
use crate::target::{Target, text};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const AGENTS: usize = 100;
const NOTE: &str = "com.example.load";

/// Every repo verifies and holds exactly what was acknowledged; no handle is given twice.
pub async fn a_hundred_agents_enroll_and_write_at_once(target: &Target) {
    let terms = target.terms().await;
    let life = |n: usize| {
        let (target, terms) = (target.clone(), terms.clone());
        tokio::spawn(async move {
            let key = match n {
                0 | 1 => tokio::task::spawn_blocking(move || TestKey::rsa(n)).await.unwrap(),
                n if n % 2 == 0 => TestKey::p256(),
                _ => TestKey::ed25519(),
            };
            let body = signup_body(&target, &key, &terms, &unique());
            let agent = TestAgent::of(&target, key.clone(), &signup(&target, &key, &body).await);
            // A key of which there are few may have an account with records from another suite.
            let before = repo::verified(&target, &agent.did).await.records;
            let model = write(&agent, before).await;
            (agent, model)
        })
    };
    let races = join_all((0..5).map(|_| race(target)));
    let (lives, ()) = tokio::join!(join_all((0..AGENTS).map(life)), async {
        races.await;
    });

    let (mut dids, mut handles) = (BTreeSet::new(), BTreeSet::new());
    for life in lives {
        let (agent, model) = life.expect("an agent's life ends well");
        assert!(dids.insert(agent.did.clone()), "{} twice", agent.did);
        assert!(handles.insert(agent.handle.clone()), "{} twice", agent.handle);
        let repo = repo::verified(target, &agent.did).await;
        assert_eq!(repo.records, model, "{}", agent.did);
        let resolved =
            target.query("com.atproto.identity.resolveHandle", &[("handle", &agent.handle)]).await.ok();
        assert_eq!(text(&resolved, "did"), agent.did);
    }
}

/// What an agent does all day; what its repo must hold then.
async fn write(agent: &TestAgent, mut model: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for n in 0..3 {
        let written = agent.create(NOTE, json!({"n": n})).await;
        model.insert(format!("{NOTE}/{}", written.rkey()), written.cid);
    }
    for n in 0..3 {
        let written = agent.put(NOTE, "self", json!({"n": n})).await;
        assert!(written.commit.is_some());
        model.insert(format!("{NOTE}/self"), written.cid);
    }
    let create = |n: usize| {
        json!({"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "rkey": format!("b{n}"),
               "value": record(NOTE, json!({"b": n}))})
    };
    let body = agent.call(APPLY, json!({"writes": (0..5).map(create).collect::<Vec<_>>()})).await.ok();
    commit_of(&body).unwrap();
    for (n, result) in body["results"].as_array().unwrap().iter().enumerate() {
        model.insert(format!("{NOTE}/b{n}"), text(result, "cid"));
    }
    agent.delete(NOTE, "b2").await.unwrap();
    model.remove(&format!("{NOTE}/b2"));
    model
}

/// Two agents want the same handle.
async fn race(target: &Target) {
    let (terms, handle) = (target.terms().await, unique());
    let attempt = || {
        let key = TestKey::ed25519();
        let body = signup_body(target, &key, &terms, &handle);
        async move { signup(target, &key, &body).await }
    };
    let (one, two) = tokio::join!(attempt(), attempt());
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one} and {two}");
}
