//! `getBlocks` and `sync.getRecord`.

use super::{NOBODY, NOTE};
use crate::agent::{APPLY, TestAgent, record};
use crate::answer::Answer;
use crate::repo;
use crate::target::Target;
use rookery_atproto::car::{self, Car};
use rookery_atproto::data::Cid;
use serde_json::json;
use std::collections::BTreeMap;

const GET_BLOCKS: &str = "com.atproto.sync.getBlocks";
const GET_RECORD: &str = "com.atproto.sync.getRecord";
/// Well formed, and the hash of nothing that is here.
const ABSENT: &str = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
const BLOB: &str = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";

/// An agent with `count` records under keys in order.
async fn writer(target: &Target, count: usize) -> TestAgent {
    let agent = TestAgent::enroll(target).await;
    let writes: Vec<_> = (0..count)
        .map(|n| {
            let value = record(NOTE, json!({"n": n, "text": "word ".repeat(n % 40)}));
            json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": rkey(n), "value": value})
        })
        .collect();
    for writes in writes.chunks(200) {
        agent.call(APPLY, json!({ "writes": writes })).await.ok();
    }
    agent
}

fn rkey(n: usize) -> String {
    format!("k{n:04}")
}

async fn get_blocks<'a>(target: &Target, did: &str, cids: impl IntoIterator<Item = &'a str>) -> Answer {
    let mut params = vec![("did", did)];
    params.extend(cids.into_iter().map(|cid| ("cids", cid)));
    target.query(GET_BLOCKS, &params).await
}

#[track_caller]
fn car(answer: &Answer) -> Car {
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("content-type"), car::MEDIA_TYPE);
    car::read_all(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Commit, tree and records, of an empty repo and of one whose blocks take several requests.
pub async fn the_blocks_of_an_export_are_given_by_cid(target: &Target) {
    for count in [0, 260] {
        let agent = writer(target, count).await;
        let export = repo::download(target, &agent.did, None).await;
        let cids: Vec<_> = export.blocks.keys().map(Cid::to_string).collect();
        let mut found = BTreeMap::new();
        for cids in cids.chunks(100) {
            let car = car(&get_blocks(target, &agent.did, cids.iter().map(String::as_str)).await);
            assert!(car.roots.is_empty());
            assert_eq!(car.blocks.len(), cids.len());
            found.extend(car.blocks);
        }
        assert_eq!(found, export.blocks.into_iter().collect());
    }
}

/// One that is asked for twice, or is at two paths, comes once; one of an older commit is gone.
pub async fn a_block_is_given_once_and_while_it_is_current(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let first = agent.put(NOTE, "a", json!({"same": true})).await;
    let second = agent.put(NOTE, "b", json!({"same": true})).await;
    assert_eq!(first.cid, second.cid);
    let answer = get_blocks(target, &agent.did, [first.cid.as_str(), &first.cid]).await;
    let cid: Cid = first.cid.parse().unwrap();
    assert_eq!(car(&answer).blocks.keys().collect::<Vec<_>>(), [&cid]);
    let mut once = car::header(&[]);
    car::section(&cid, &car(&answer).blocks[&cid], &mut once);
    assert_eq!(answer.body, once, "not a byte more");

    agent.delete(NOTE, "a").await.unwrap();
    car(&get_blocks(target, &agent.did, [first.cid.as_str()]).await);
    agent.delete(NOTE, "b").await.unwrap();
    let (old_commit, _) = first.commit.unwrap();
    for gone in [&first.cid, &old_commit] {
        get_blocks(target, &agent.did, [gone.as_str()]).await.refused(400, "BlockNotFound");
    }
}

/// Writes at both ends of a tree in turn: nodes are rewritten, left alone and rewritten again. What the export has is served, and
/// what earlier exports had besides is not.
pub async fn blocks_of_older_trees_are_gone(target: &Target) {
    let agent = writer(target, 90).await;
    let mut before = BTreeMap::new();
    for (n, rkey) in ["a", "z", "zz", "b", "z", "a", "k0045-a", "z", "a"].into_iter().enumerate() {
        before.extend(repo::download(target, &agent.did, None).await.blocks);
        agent.put(NOTE, rkey, json!({ "at": n })).await;
    }
    let now = repo::download(target, &agent.did, None).await.blocks;
    for cids in now.keys().collect::<Vec<_>>().chunks(100) {
        let cids: Vec<_> = cids.iter().map(|cid| cid.to_string()).collect();
        assert_eq!(
            car(&get_blocks(target, &agent.did, cids.iter().map(String::as_str)).await).blocks.len(),
            cids.len()
        );
    }
    let gone: Vec<_> = before.keys().filter(|cid| !now.contains_key(cid)).collect();
    assert!(gone.len() > 10, "{gone:?}");
    for cid in gone {
        get_blocks(target, &agent.did, [cid.to_string().as_str()]).await.refused(400, "BlockNotFound");
    }
}

/// All of them are named, and nothing else; another account's blocks are not this one's.
pub async fn missing_blocks_are_named(target: &Target) {
    let (agent, other) = (writer(target, 3).await, TestAgent::enroll(target).await);
    let (present, _) = agent.head().await;
    let foreign = other.create(NOTE, json!({"of": "another"})).await.cid;
    for order in [[ABSENT, &foreign, &present], [&present, &foreign, ABSENT]] {
        let answer = get_blocks(target, &agent.did, order).await;
        let message = answer.refused(400, "BlockNotFound").message();
        assert!(message.contains("Could not find cids"), "{message}");
        assert!(message.contains(ABSENT) && message.contains(&foreign), "{message}");
        assert!(!message.contains(&present), "{message}");
    }
    get_blocks(target, NOBODY, [ABSENT]).await.refused(400, "RepoNotFound");
}

/// Of `getBlocks`: what is malformed, too much, or no block.
pub async fn lists_of_cids_are_checked(target: &Target) {
    let agent = writer(target, 1).await;
    let (head, _) = agent.head().await;
    for bad in ["", "x", "b", "../x", BLOB, "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR", "\u{0}"] {
        get_blocks(target, &agent.did, [bad]).await.refused(400, "InvalidRequest");
        if !bad.is_empty() {
            get_blocks(target, &agent.did, [head.as_str(), bad]).await.refused(400, "InvalidRequest");
        }
    }
    get_blocks(target, &agent.did, []).await.refused(400, "InvalidRequest");
    car(&get_blocks(target, &agent.did, vec![head.as_str(); 100]).await);
    get_blocks(target, &agent.did, vec![head.as_str(); 101]).await.refused(400, "InvalidRequest");
    get_blocks(target, &agent.did, vec![head.as_str(); 1000]).await.refused_with(414);
    let twice = [("did", agent.did.as_str()), ("did", &agent.did), ("cids", &head)];
    target.query(GET_BLOCKS, &twice).await.refused(400, "InvalidRequest");
}

/// Every record, what lies between and beyond them, and collections that are not there; each proof is minimal.
pub async fn presence_and_absence_of_records_are_proven(target: &Target) {
    let agent = writer(target, 300).await;
    let key = repo::signing_key(target, &agent.did).await;
    let records = repo::verified(target, &agent.did).await.records;
    let (head, _) = agent.head().await;
    let absent = (0..300).map(|n| format!("{NOTE}/{}x", rkey(n)));
    let beyond = ["com.example.aaa/k", "com.example.sync/a", "com.example.sync/~", "com.example.zzz/k"];
    let paths = records.keys().cloned().chain(absent).chain(beyond.map(str::to_owned));
    for path in paths {
        let (collection, rkey) = path.split_once('/').unwrap();
        let params = [("did", agent.did.as_str()), ("collection", collection), ("rkey", rkey)];
        let car = car(&target.query(GET_RECORD, &params).await);
        assert_eq!(car.roots[0].to_string(), head);
        let found = repo::check_proof(&car, &agent.did, &key, &path);
        assert_eq!(found.as_ref(), records.get(&path), "{path}");
    }
}

/// Of an empty repo everything is absent.
pub async fn an_empty_repo_proves_that_it_is_empty(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let key = repo::signing_key(target, &agent.did).await;
    let params = [("did", agent.did.as_str()), ("collection", NOTE), ("rkey", "a")];
    let car = car(&target.query(GET_RECORD, &params).await);
    assert_eq!(repo::check_proof(&car, &agent.did, &key, &format!("{NOTE}/a")), None);
    for (name, bad) in [("did", NOBODY), ("did", "x"), ("collection", "x"), ("rkey", ".."), ("rkey", "")] {
        let params = params.map(|(known, value)| (known, if known == name { bad } else { value }));
        let error = if bad == NOBODY { "RepoNotFound" } else { "InvalidRequest" };
        target.query(GET_RECORD, &params).await.refused(400, error);
    }
}
