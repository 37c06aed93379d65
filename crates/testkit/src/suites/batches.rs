//! `applyWrites`: all or nothing.

use crate::agent::{APPLY, TestAgent, commit_of, record};
use crate::answer::Answer;
use crate::repo;
use crate::target::{Target, text};
use rookery_atproto::syntax::Tid;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOTE: &str = "com.example.batch";

fn create(rkey: &str, n: i64) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "rkey": rkey, "value": record(NOTE, json!({"n": n}))})
}

fn update(rkey: &str, n: i64) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#update", "collection": NOTE, "rkey": rkey, "value": record(NOTE, json!({"n": n}))})
}

fn delete(rkey: &str) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#delete", "collection": NOTE, "rkey": rkey})
}

async fn apply(agent: &TestAgent, writes: &[Value]) -> Answer {
    agent.call(APPLY, json!({"writes": writes})).await
}

/// Creates, updates and deletes in one commit; one result for each, in order.
pub async fn a_batch_is_one_commit_with_typed_results(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    apply(&agent, &[create("a", 1), create("b", 1)]).await.ok();
    let before = agent.head().await;
    let mut generated = create("", 3);
    generated.as_object_mut().unwrap().remove("rkey");
    let body = apply(&agent, &[generated, update("a", 2), delete("b"), create("c", 1)]).await.ok();
    assert_eq!(commit_of(&body).unwrap(), agent.head().await);
    assert_ne!(agent.head().await, before);
    let results = body["results"].as_array().unwrap();
    let types: Vec<_> = results.iter().map(|result| text(result, "$type")).collect();
    let name = |kind: &str| format!("{APPLY}#{kind}Result");
    assert_eq!(types, [name("create"), name("update"), name("delete"), name("create")]);
    Tid::parse(text(&results[0], "uri").rsplit('/').next().unwrap()).unwrap();
    let repo = repo::verified(target, &agent.did).await;
    assert_eq!(repo.records.len(), 3);
    for result in [&results[0], &results[1], &results[3]] {
        let uri = text(result, "uri");
        let path = uri.strip_prefix(&format!("at://{}/", agent.did)).unwrap();
        assert_eq!(repo.records[path], text(result, "cid"));
        assert_eq!(result["validationStatus"], "unknown");
    }
    agent.get(NOTE, "b").await.refused(400, "RecordNotFound");
}

/// Whichever write is bad, and wherever it stands.
pub async fn a_batch_with_one_bad_write_changes_nothing(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    apply(&agent, &[create("there", 1)]).await.ok();
    let before = agent.head().await;
    let collection = |value: &str| {
        let mut write = create("x", 1);
        write["collection"] = value.into();
        write
    };
    let typed = |value: Value| {
        let mut write = create("x", 1);
        write["$type"] = value;
        write
    };
    let bad = [
        (create("there", 2), 409, "RecordAlreadyExists"),
        (update("missing", 1), 400, "RecordNotFound"),
        (create("..", 1), 400, "InvalidRequest"),
        (collection("nothing"), 400, "InvalidRequest"),
        (collection("com.example.other"), 400, "InvalidRequest"),
        (typed(json!("com.atproto.repo.applyWrites#replace")), 400, "InvalidRequest"),
        (typed(json!("com.example.other#create")), 400, "InvalidRequest"),
        (typed(json!(1)), 400, "InvalidRequest"),
        (json!({"collection": NOTE, "rkey": "x"}), 400, "InvalidRequest"),
        (
            json!({"$type": "com.atproto.repo.applyWrites#update", "collection": NOTE, "value": {"$type": NOTE}}),
            400,
            "InvalidRequest",
        ),
        (
            json!({"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "rkey": "x"}),
            400,
            "InvalidRequest",
        ),
        (json!("create"), 400, "InvalidRequest"),
        (Value::Null, 400, "InvalidRequest"),
    ];
    for (write, status, name) in bad {
        for at in [0, 1, 2] {
            let mut writes = vec![create("good", 1), delete("there")];
            writes.insert(at, write.clone());
            // A create of what the batch deletes before it is no conflict.
            if name == "RecordAlreadyExists" && at == 2 {
                continue;
            }
            let answer = apply(&agent, &writes).await;
            assert_eq!((answer.status, answer.error().as_str()), (status, name), "{write}: {answer}");
            assert_eq!(agent.head().await, before, "{write}");
        }
    }
    for writes in [json!({}), json!("x"), Value::Null] {
        agent.call(APPLY, json!({"writes": writes})).await.refused(400, "InvalidRequest");
    }
    agent.call(APPLY, json!({})).await.refused(400, "InvalidRequest");
    agent.get(NOTE, "good").await.refused(400, "RecordNotFound");
    assert_eq!(agent.get(NOTE, "there").await.ok()["value"]["n"], 1);
}

/// The limit of one commit.
pub async fn two_hundred_writes_are_taken_and_no_more(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let writes: Vec<_> = (0..201).map(|n| create(&format!("k{n:03}"), n)).collect();
    let before = agent.head().await;
    let answer = apply(&agent, &writes).await;
    answer.refused(400, "InvalidRequest");
    assert!(answer.message().contains("Too many writes. Max: 200"), "{answer}");
    assert_eq!(agent.head().await, before);
    let body = apply(&agent, &writes[..200]).await.ok();
    assert_eq!(body["results"].as_array().unwrap().len(), 200);
    assert_eq!(repo::verified(target, &agent.did).await.records.len(), 200);
}

/// Writes happen in order; the commit shows what is left of them.
pub async fn the_same_path_twice_in_a_batch_has_its_net_effect(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let before = agent.head().await;
    apply(&agent, &[create("k", 1), create("k", 2)]).await.refused(409, "RecordAlreadyExists");
    apply(&agent, &[create("k", 1), delete("k"), update("k", 2)]).await.refused(400, "RecordNotFound");
    assert_eq!(agent.head().await, before);

    apply(&agent, &[create("k", 1), update("k", 2), update("k", 3)]).await.ok();
    assert_eq!(agent.get(NOTE, "k").await.ok()["value"]["n"], 3);
    apply(&agent, &[delete("k"), create("k", 4)]).await.ok();
    assert_eq!(agent.get(NOTE, "k").await.ok()["value"]["n"], 4);
    apply(&agent, &[update("k", 5), delete("k"), create("other", 1)]).await.ok();
    agent.get(NOTE, "k").await.refused(400, "RecordNotFound");
    assert_eq!(repo::verified(target, &agent.did).await.records.len(), 1);
}

/// What cancels out, or was so already, is no commit.
pub async fn a_batch_without_effect_makes_no_commit(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    apply(&agent, &[create("k", 1)]).await.ok();
    let before = agent.head().await;
    let cases: [&[Value]; 5] = [
        &[],
        &[delete("missing")],
        &[update("k", 1)],
        &[create("new", 1), delete("new")],
        &[update("k", 2), update("k", 1), delete("missing")],
    ];
    for writes in cases {
        let body = apply(&agent, writes).await.ok();
        assert_eq!(commit_of(&body), None, "{writes:?}");
        assert_eq!(body["results"].as_array().unwrap().len(), writes.len());
        assert_eq!(agent.head().await, before, "{writes:?}");
    }
}

/// Trees that lose their top layers in a batch are where implementations leave stale ones behind. The export is checked for
/// canonical form after every change of shape.
pub async fn shrinking_and_growing_keeps_the_tree_canonical(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let key = repo::signing_key(target, &agent.did).await;
    let mut model: BTreeMap<String, i64> = BTreeMap::new();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..40_i64 {
        let mut writes = Vec::new();
        // Now and then everything goes and one record comes.
        if round % 5 == 4 {
            writes.extend(model.keys().map(|rkey| delete(rkey)));
            model.clear();
        }
        for _ in 0..=next(6) {
            let rkey = format!("r{}", next(40));
            let present = model.contains_key(&rkey);
            if present && next(2) == 0 {
                model.remove(&rkey);
                writes.push(delete(&rkey));
            } else {
                model.insert(rkey.clone(), round);
                writes.push(if present { update(&rkey, round) } else { create(&rkey, round) });
            }
        }
        apply(&agent, &writes).await.ok();
        let repo = repo::check(repo::download(target, &agent.did, None).await, &agent.did, &key);
        let paths: Vec<_> = model.keys().map(|rkey| format!("{NOTE}/{rkey}")).collect();
        assert_eq!(repo.records.into_keys().collect::<Vec<_>>(), paths, "round {round}");
    }
    for (rkey, n) in model {
        assert_eq!(agent.get(NOTE, &rkey).await.ok()["value"]["n"], n);
    }
}
