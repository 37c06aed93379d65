//! What relays and mirrors read.

mod blocks;
mod collections;

pub use blocks::*;
pub use collections::*;

use crate::agent::TestAgent;
use crate::repo;
use crate::target::{Target, text};
use rookery_atproto::car::Car;
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::Tid;
use serde_json::json;
use std::collections::BTreeMap;

const NOTE: &str = "com.example.sync";
const NOBODY: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

/// Also when it is empty, and when it is large enough to come in pieces.
pub async fn a_repo_is_exported_whole_and_signed(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let empty = repo::verified(target, &agent.did).await;
    assert!(empty.records.is_empty());
    assert_eq!(empty.commit.prev, None);
    assert_eq!(empty.commit.rev.to_string(), agent.head().await.1);
    let mut model = BTreeMap::new();
    for n in 0..12 {
        let written = agent.create(NOTE, json!({"n": n, "text": "long ".repeat(4000)})).await;
        model.insert(format!("{NOTE}/{}", written.rkey()), written.cid);
    }
    let full = repo::verified(target, &agent.did).await;
    assert_eq!(full.records, model);
    assert_eq!(full.car.roots[0].to_string(), agent.head().await.0);
    // Nothing else is in it: the commit, the tree, the records.
    let tree = full.car.blocks.len() - 1 - model.len();
    assert!((1..=model.len() + 3).contains(&tree), "{tree} nodes for {} records", model.len());
    // Another account's key does not fit.
    let other = TestAgent::enroll(target).await;
    let key = repo::signing_key(target, &other.did).await;
    assert!(full.commit.verify(&key).is_err());
}

/// New blocks only, and with the old ones they make the whole repo.
pub async fn an_export_since_a_revision_is_the_difference(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let key = repo::signing_key(target, &agent.did).await;
    for n in 0..40 {
        agent.put(NOTE, &format!("k{n:02}"), json!({"n": n})).await;
    }
    let (_, rev) = agent.head().await;
    let old = repo::download(target, &agent.did, None).await;

    let nothing = repo::download(target, &agent.did, Some(&rev)).await;
    assert!(nothing.blocks.len() <= 1, "{} blocks although nothing changed", nothing.blocks.len());
    assert_eq!(nothing.roots, old.roots);

    let added = agent.put(NOTE, "new", json!({"n": "new"})).await;
    let replaced = agent.put(NOTE, "k07", json!({"n": "replaced"})).await;
    agent.delete(NOTE, "k30").await.unwrap();
    let passing = agent.put(NOTE, "passing", json!({"n": "passing"})).await;
    agent.delete(NOTE, "passing").await.unwrap();

    let diff = repo::download(target, &agent.did, Some(&rev)).await;
    let full = repo::download(target, &agent.did, None).await;
    let cid = |text: &str| text.parse::<Cid>().unwrap();
    assert_eq!(diff.roots, full.roots);
    for new in [&added.cid, &replaced.cid] {
        assert!(diff.blocks.contains_key(&cid(new)), "{new} is new");
    }
    assert!(!diff.blocks.contains_key(&cid(&passing.cid)), "what is gone again is not sent");
    let mut expected = full.blocks.clone();
    expected.retain(|cid, _| !old.blocks.contains_key(cid));
    let missing: Vec<_> = expected.keys().filter(|cid| !diff.blocks.contains_key(*cid)).collect();
    assert!(missing.is_empty(), "new blocks that were not sent: {missing:?}");
    assert!(diff.blocks.len() < full.blocks.len() / 2, "{} of {}", diff.blocks.len(), full.blocks.len());
    for record in repo::check(old.clone(), &agent.did, &key).records.values() {
        assert!(!diff.blocks.contains_key(&cid(record)), "{record} is old");
    }
    let mut blocks = old.blocks;
    blocks.extend(diff.blocks);
    let patched = repo::check(Car { roots: diff.roots, blocks }, &agent.did, &key);
    assert_eq!(patched.records, repo::check(full, &agent.did, &key).records);

    // From before the first commit it is everything; from the future nothing.
    let all = repo::download(target, &agent.did, Some(&Tid::new(1, 0).to_string())).await;
    repo::check(all, &agent.did, &key);
    let future = repo::download(target, &agent.did, Some(&Tid::MAX.to_string())).await;
    assert!(future.blocks.len() <= 1);
    let bad = target.query("com.atproto.sync.getRepo", &[("did", &agent.did), ("since", "yesterday")]).await;
    bad.refused(400, "InvalidRequest");
}

/// `getLatestCommit`, `getRepoStatus`, and their errors.
pub async fn heads_and_states_are_told(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let written = agent.create(NOTE, json!({})).await;
    let head = target.query("com.atproto.sync.getLatestCommit", &[("did", &agent.did)]).await.ok();
    let commit = written.commit.unwrap();
    assert_eq!(head, json!({"cid": commit.0, "rev": commit.1}));
    let status = target.query("com.atproto.sync.getRepoStatus", &[("did", &agent.did)]).await.ok();
    assert_eq!(status, json!({"did": agent.did, "active": true, "rev": commit.1}));
    for method in ["getRepo", "getLatestCommit", "getRepoStatus"] {
        let nsid = format!("com.atproto.sync.{method}");
        target.query(&nsid, &[("did", NOBODY)]).await.refused(400, "RepoNotFound");
        for bad in ["", &agent.handle, "did:", "did:plc:\u{0}", "../x"] {
            target.query(&nsid, &[("did", bad)]).await.refused(400, "InvalidRequest");
        }
        target.query(&nsid, &[]).await.refused(400, "InvalidRequest");
    }
}

/// Every repo once, in the order in which they were made, with its head.
pub async fn repos_are_listed_page_by_page(target: &Target) {
    let mut agents = Vec::new();
    for _ in 0..5 {
        let agent = TestAgent::enroll(target).await;
        agent.create(NOTE, json!({})).await;
        agents.push(agent);
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            target.query("com.atproto.sync.listRepos", &[("limit", "2"), ("cursor", &cursor)]).await.ok();
        let repos = page["repos"].as_array().unwrap();
        assert!(repos.len() <= 2);
        found.extend(repos.iter().cloned());
        match page.get("cursor") {
            Some(next) => cursor = next.as_str().unwrap().to_owned(),
            None => break,
        }
    }
    let dids: Vec<_> = found.iter().map(|repo| text(repo, "did")).collect();
    let ours: Vec<_> = agents.iter().map(|agent| agent.did.clone()).collect();
    let listed: Vec<_> = dids.iter().filter(|did| ours.contains(did)).cloned().collect();
    assert_eq!(listed, ours, "each once, in the order of enrollment");
    for agent in &agents {
        let (cid, rev) = agent.head().await;
        let entry = found.iter().find(|repo| text(repo, "did") == agent.did).unwrap();
        assert_eq!(*entry, json!({"did": agent.did, "head": cid, "rev": rev, "active": true}));
    }
    for limit in ["0", "1001", "-1", "x"] {
        target.query("com.atproto.sync.listRepos", &[("limit", limit)]).await.refused(400, "InvalidRequest");
    }
    for cursor in ["x", "-1", "99999999999999999999", "\u{0}"] {
        target
            .query("com.atproto.sync.listRepos", &[("cursor", cursor)])
            .await
            .refused(400, "InvalidRequest");
    }
}
