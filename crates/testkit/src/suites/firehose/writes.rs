//! What is told of a write, and of what is none.

use super::{Listener, NOTE, next_of};
use crate::agent::{APPLY, CREATE, DELETE, PUT, TestAgent, commit_of, record};
use crate::firehose::frame::{Commit, Op};
use crate::firehose::{Body, Subscription};
use crate::target::Target;
use serde_json::{Value, json};

/// Action, path, record after and record before of each operation.
type Told = Vec<(String, String, Option<String>, Option<String>)>;

fn told(commit: &Commit) -> Told {
    let text = |cid: Option<rookery_atproto::data::Cid>| cid.map(|cid| cid.to_string());
    let each = |op: &Op| (op.action.clone(), op.path.clone(), text(op.cid), text(op.prev));
    commit.ops.iter().map(each).collect()
}

fn op(action: &str, rkey: &str, cid: Option<&str>, prev: Option<&str>) -> Told {
    vec![(action.to_owned(), format!("{NOTE}/{rkey}"), cid.map(str::to_owned), prev.map(str::to_owned))]
}

fn write(action: &str, rkey: &str, n: i64) -> Value {
    let mut write = json!({"$type": format!("{APPLY}#{action}"), "collection": NOTE, "rkey": rkey});
    if action != "delete" {
        write["value"] = record(NOTE, json!({"n": n}));
    }
    write
}

/// Identity, account, the empty repo, and its state.
pub async fn a_signup_is_told_in_order(target: &Target) {
    let mut stream = Subscription::open(target, None).await;
    let agent = TestAgent::enroll(target).await;
    let (cid, rev) = agent.head().await;
    let Body::Identity { handle } = next_of(&mut stream, &agent.did).await.body else { panic!("#identity") };
    assert_eq!(handle.unwrap().as_str(), agent.handle);
    let account = next_of(&mut stream, &agent.did).await.body;
    assert_eq!(account, Body::Account { active: true, status: None });
    let Body::Commit(first) = next_of(&mut stream, &agent.did).await.body else { panic!("#commit") };
    assert_eq!((first.commit.to_string(), first.rev.to_string()), (cid, rev.clone()));
    assert_eq!((first.since, first.prev_data, first.ops.len()), (None, None, 0));
    let Body::Sync { rev: state, .. } = next_of(&mut stream, &agent.did).await.body else { panic!("#sync") };
    assert_eq!(state.to_string(), rev);
    // Consenting again is no news.
    TestAgent::enroll_as(target, agent.key.clone(), "another").await;
    let mark = agent.create(NOTE, json!({})).await;
    let Body::Commit(next) = next_of(&mut stream, &agent.did).await.body else { panic!("#commit") };
    assert_eq!(next.commit.to_string(), mark.commit.unwrap().0);
}

/// Whatever call it came through: commit, revision, and what was there before.
pub async fn every_kind_of_write_is_told_with_what_was_there_before(target: &Target) {
    let mut listener = Listener::new(target).await;
    let agent = listener.agent.clone();
    let mut last = agent.head().await;
    let mut arrives = async |commit: Option<(String, String)>, expected: Told| {
        let told_of = listener.commit().await;
        let commit = commit.expect("a write that changes something makes a commit");
        assert_eq!((told_of.commit.to_string(), told_of.rev.to_string()), commit);
        assert_eq!(told_of.since.map(|rev| rev.to_string()), Some(last.1.clone()));
        assert_eq!(told(&told_of), expected);
        last = commit;
    };
    let made = agent.create(NOTE, json!({"n": 1})).await;
    arrives(made.commit.clone(), op("create", made.rkey(), Some(&made.cid), None)).await;
    let put = agent.put(NOTE, "self", json!({"n": 1})).await;
    arrives(put.commit, op("create", "self", Some(&put.cid), None)).await;
    let again = agent.put(NOTE, "self", json!({"n": 2})).await;
    arrives(again.commit, op("update", "self", Some(&again.cid), Some(&put.cid))).await;
    arrives(agent.delete(NOTE, made.rkey()).await, op("delete", made.rkey(), None, Some(&made.cid))).await;
    let batch = [write("create", "a", 7), write("update", "self", 1), write("create", "z", 7)];
    let body = agent.call(APPLY, json!({ "writes": batch })).await.ok();
    let seven = body["results"][0]["cid"].as_str().unwrap();
    let expected = [
        op("create", "a", Some(seven), None),
        op("update", "self", Some(&put.cid), Some(&again.cid)),
        op("create", "z", Some(seven), None),
    ];
    arrives(commit_of(&body), expected.concat()).await;
    let body = agent.call(APPLY, json!({"writes": [write("delete", "z", 0), write("delete", "a", 0)]})).await;
    let expected = [op("delete", "a", None, Some(seven)), op("delete", "z", None, Some(seven))];
    arrives(commit_of(&body.ok()), expected.concat()).await;
}

/// One path, written more than once in a batch, is told once.
pub async fn a_path_that_is_written_often_in_a_batch_is_told_with_its_net_effect(target: &Target) {
    let mut listener = Listener::new(target).await;
    let agent = listener.agent.clone();
    let before = agent.put(NOTE, "k", json!({"n": 0})).await.cid;
    listener.commit().await;
    let cid = async |rkey: &str| agent.get(NOTE, rkey).await.ok()["cid"].as_str().unwrap().to_owned();

    let writes = [write("delete", "k", 0), write("create", "k", 1), write("update", "k", 2)];
    agent.call(APPLY, json!({ "writes": writes })).await.ok();
    let two = cid("k").await;
    assert_eq!(told(&listener.commit().await), op("update", "k", Some(&two), Some(&before)));

    let writes = [write("create", "new", 1), write("delete", "new", 0), write("create", "new", 2)];
    agent.call(APPLY, json!({ "writes": writes })).await.ok();
    assert_eq!(told(&listener.commit().await), op("create", "new", Some(&two), None));

    let writes = [write("update", "new", 3), write("delete", "new", 0), write("update", "k", 3)];
    agent.call(APPLY, json!({ "writes": writes })).await.ok();
    let three = cid("k").await;
    let expected = [op("update", "k", Some(&three), Some(&two)), op("delete", "new", None, Some(&two))];
    assert_eq!(told(&listener.commit().await), expected.concat());
}

/// As many as one commit takes.
pub async fn a_batch_of_two_hundred_is_one_event(target: &Target) {
    let mut listener = Listener::new(target).await;
    for (action, n) in [("create", 1), ("update", 2), ("delete", 0)] {
        let writes: Vec<_> = (0..200).rev().map(|key| write(action, &format!("k{key:03}"), n)).collect();
        let body = listener.agent.call(APPLY, json!({ "writes": writes })).await.ok();
        let commit = listener.commit().await;
        assert_eq!(commit.commit.to_string(), commit_of(&body).unwrap().0);
        assert_eq!(commit.ops.len(), 200);
        assert!(commit.ops.iter().all(|op| op.action == action));
    }
    let writes: Vec<_> = (0..201).map(|key| write("create", &format!("k{key:03}"), 1)).collect();
    listener.agent.call(APPLY, json!({ "writes": writes })).await.refused(400, "InvalidRequest");
    listener.nothing_came("a batch that is too long").await;
}

/// No commit, no event.
pub async fn a_write_without_effect_is_not_told(target: &Target) {
    let mut listener = Listener::new(target).await;
    let agent = listener.agent.clone();
    agent.put(NOTE, "k", json!({"n": 1})).await;
    listener.commit().await;
    agent.put(NOTE, "k", json!({"n": 1})).await;
    assert_eq!(agent.delete(NOTE, "missing").await, None);
    for writes in [
        json!([]),
        json!([write("delete", "missing", 0)]),
        json!([write("update", "k", 1)]),
        json!([write("create", "x", 1), write("delete", "x", 0)]),
        json!([write("delete", "k", 0), write("create", "k", 1)]),
    ] {
        agent.call(APPLY, json!({ "writes": writes })).await.ok();
    }
    listener.nothing_came("a write without effect").await;
}

/// Whatever refuses it.
pub async fn a_write_that_fails_is_not_told(target: &Target) {
    let mut listener = Listener::new(target).await;
    let agent = listener.agent.clone();
    agent.put(NOTE, "k", json!({"n": 1})).await;
    listener.commit().await;
    let none = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
    let good = record(NOTE, json!({"n": 2}));
    let calls = [
        (CREATE, json!({"collection": NOTE, "rkey": "k", "record": good})),
        (CREATE, json!({"collection": "nothing", "record": good})),
        (CREATE, json!({"collection": NOTE, "record": {"$type": "com.example.other"}})),
        (PUT, json!({"collection": NOTE, "rkey": "k", "record": good, "swapRecord": none})),
        (PUT, json!({"collection": NOTE, "rkey": "k", "record": good, "swapCommit": none})),
        (DELETE, json!({"collection": NOTE, "rkey": "k", "swapCommit": none})),
        (
            APPLY,
            json!({"writes": [write("update", "k", 2), write("create", "new", 1), write("update", "no", 1)]}),
        ),
        (APPLY, json!({"writes": [write("update", "k", 2)], "swapCommit": none})),
    ];
    for (nsid, input) in calls {
        let answer = agent.call(nsid, input.clone()).await;
        assert!(matches!(answer.status, 400 | 409), "{input}: {answer}");
    }
    // With a proof that was used.
    let proof = agent.proof(CREATE).sign(&agent.key);
    let authorization = format!("DPoP {}", agent.token);
    let headers = [
        ("authorization", authorization.as_bytes()),
        ("dpop", proof.as_bytes()),
        ("content-type", b"application/json".as_slice()),
    ];
    let body = json!({"repo": agent.did, "collection": NOTE, "rkey": "once", "record": good}).to_string();
    let url = target.xrpc(CREATE);
    let send = || target.send("POST", &url, &headers, body.clone().into());
    send().await.ok();
    listener.commit().await;
    send().await.refused_with(401);
    listener.nothing_came("a write that failed").await;
}
