//! One record at a time.

use crate::agent::{CREATE, DELETE, PUT, TestAgent, Written, commit_of, record};
use crate::keys::unique;
use crate::repo;
use crate::target::{Target, text};
use futures_util::future::join_all;
use rookery_atproto::data::{Cid, cbor, json as atproto_json};
use rookery_atproto::syntax::Tid;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NOTE: &str = "com.example.note";

/// From nothing to nothing again, and the export agrees at every step.
pub async fn a_record_is_created_read_replaced_and_deleted(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let mut rev = agent.head().await.1;
    let mut commits = |commit: Option<(String, String)>| {
        let commit = commit.expect("a commit");
        assert!(commit.1 > rev, "{} is not above {rev}", commit.1);
        rev.clone_from(&commit.1);
        commit
    };

    let created = agent.create(NOTE, json!({"text": "first words"})).await;
    let rkey = created.rkey().to_owned();
    let path = format!("{NOTE}/{rkey}");
    assert_eq!(created.uri, format!("at://{}/{path}", agent.did));
    assert_eq!(agent.head().await, commits(created.commit.clone()));
    let got = agent.get(NOTE, &rkey).await.ok();
    assert_eq!(
        got,
        json!({"uri": created.uri, "cid": created.cid, "value": {"$type": NOTE, "text": "first words"}})
    );
    assert_eq!(repo::verified(target, &agent.did).await.records[&path], created.cid);

    let replaced = agent.put(NOTE, &rkey, json!({"text": "second thoughts"})).await;
    commits(replaced.commit.clone());
    assert_eq!((&replaced.uri, replaced.cid == created.cid), (&created.uri, false));
    assert_eq!(agent.get(NOTE, &rkey).await.ok()["value"]["text"], "second thoughts");
    assert_eq!(repo::verified(target, &agent.did).await.records[&path], replaced.cid);

    // By handle, and by the version asked for.
    let by = |repo: &str, cid: &str| {
        let params = [
            ("repo", repo.to_owned()),
            ("collection", NOTE.into()),
            ("rkey", rkey.clone()),
            ("cid", cid.into()),
        ];
        async move {
            let params: Vec<_> = params.iter().map(|(name, value)| (*name, value.as_str())).collect();
            target.query("com.atproto.repo.getRecord", &params).await
        }
    };
    assert_eq!(text(&by(&agent.handle, &replaced.cid).await.ok(), "uri"), replaced.uri);
    by(&agent.handle.to_uppercase(), "").await.ok();
    by(&agent.did, &created.cid).await.refused(400, "RecordNotFound");

    commits(agent.delete(NOTE, &rkey).await);
    agent.get(NOTE, &rkey).await.refused(400, "RecordNotFound");
    assert!(repo::verified(target, &agent.did).await.records.is_empty());
    let again = agent
        .call(CREATE, json!({"collection": NOTE, "rkey": rkey, "record": record(NOTE, json!({}))}))
        .await;
    commits(Written::of(&again).commit);
}

/// TIDs, each above the one before, also when they are made at once.
pub async fn record_keys_are_generated_in_order(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let mut last = None;
    for _ in 0..10 {
        let written = agent.create(NOTE, json!({})).await;
        let tid = Tid::parse(written.rkey()).unwrap();
        assert!(last < Some(tid), "{tid}");
        assert!(Tid::parse(&written.commit.unwrap().1).is_ok());
        last = Some(tid);
    }
    let at_once = join_all((0..20).map(|_| agent.create(NOTE, json!({})))).await;
    let keys: BTreeSet<_> = at_once.iter().map(|written| written.rkey().to_owned()).collect();
    assert_eq!(keys.len(), 20);
}

/// The same value under the same key is no news.
pub async fn a_put_that_changes_nothing_makes_no_commit(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let first = agent.put(NOTE, "self", json!({"a": 1, "b": 2})).await;
    assert!(first.commit.is_some(), "a put creates");
    let head = agent.head().await;
    let input = format!(
        r#"{{"repo":"{}","collection":"{NOTE}","rkey":"self","record":{{"b":2,"a":1,"$type":"{NOTE}"}}}}"#,
        agent.did
    );
    let again = Written::of(&agent.post(PUT, "application/json", input).await);
    assert_eq!((again.cid, again.uri, again.commit), (first.cid.clone(), first.uri, None));
    assert_eq!(agent.head().await, head);
    // The same content elsewhere is another record with the same hash.
    let other = agent.put(NOTE, "other", json!({"a": 1, "b": 2})).await;
    assert_eq!(other.cid, first.cid);
    agent.delete(NOTE, "self").await.unwrap();
    assert_eq!(agent.get(NOTE, "other").await.ok()["value"]["a"], 1);
    assert_eq!(repo::verified(target, &agent.did).await.records.len(), 1);
}

/// Already done is done.
pub async fn deleting_what_is_not_there_makes_no_commit(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let head = agent.head().await;
    assert_eq!(agent.delete(NOTE, "none").await, None);
    assert_eq!(agent.head().await, head);
    agent.put(NOTE, "one", json!({})).await;
    assert!(agent.delete(NOTE, "one").await.is_some());
    assert_eq!(agent.delete(NOTE, "one").await, None);
}

/// `swapRecord`: the record must be as the client knows it.
pub async fn swap_record_guards_against_lost_updates(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let put = |value: i64, swap: Value| {
        let input = json!({"collection": NOTE, "rkey": "k", "record": record(NOTE, json!({"n": value})), "swapRecord": swap});
        let agent = agent.clone();
        async move { agent.call(PUT, input).await }
    };
    let never = Cid::dag_cbor(b"never").to_string();
    put(1, json!(never)).await.refused(400, "InvalidSwap");
    let first = Written::of(&put(1, Value::Null).await);
    let head = agent.head().await;
    put(2, Value::Null).await.refused(400, "InvalidSwap");
    put(2, json!(never)).await.refused(400, "InvalidSwap");
    put(2, json!("not a cid")).await.refused(400, "InvalidRequest");
    put(2, json!(7)).await.refused(400, "InvalidRequest");
    assert_eq!(agent.head().await, head);
    let second = Written::of(&put(2, json!(first.cid)).await);
    put(3, json!(first.cid)).await.refused(400, "InvalidSwap");
    // A swap is checked also where nothing would change.
    put(2, json!(first.cid)).await.refused(400, "InvalidSwap");
    assert_eq!(Written::of(&put(2, json!(second.cid)).await).commit, None);

    let delete = |rkey: &str, swap: &str| {
        let input = json!({"collection": NOTE, "rkey": rkey, "swapRecord": swap});
        let agent = agent.clone();
        async move { agent.call(DELETE, input).await }
    };
    delete("k", &first.cid).await.refused(400, "InvalidSwap");
    assert_eq!(text(&agent.get(NOTE, "k").await.ok(), "cid"), second.cid);
    assert!(commit_of(&delete("k", &second.cid).await.ok()).is_some());

    // Of several that swap from the same version one wins.
    let base = agent.put(NOTE, "race", json!({"n": 0})).await;
    let race = join_all((1..=6).map(|n| {
        let input = json!({"collection": NOTE, "rkey": "race", "record": record(NOTE, json!({"n": n})), "swapRecord": base.cid});
        agent.call(PUT, input)
    }))
    .await;
    assert_eq!(race.iter().filter(|answer| answer.status == 200).count(), 1, "{race:?}");
    for lost in race.iter().filter(|answer| answer.status != 200) {
        lost.refused(400, "InvalidSwap");
    }
}

/// `swapCommit`: the repo must be as the client knows it.
pub async fn swap_commit_guards_against_lost_updates(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let stale = agent.head().await.0;
    agent.put(NOTE, "k", json!({"n": 0})).await;
    let inputs = |swap: &str| {
        [
            (CREATE, json!({"collection": NOTE, "record": record(NOTE, json!({})), "swapCommit": swap})),
            (
                PUT,
                json!({"collection": NOTE, "rkey": "k", "record": record(NOTE, json!({"at": swap})), "swapCommit": swap}),
            ),
            (DELETE, json!({"collection": NOTE, "rkey": "k", "swapCommit": swap})),
            (
                "com.atproto.repo.applyWrites",
                json!({"swapCommit": swap, "writes": [
                    {"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "value": record(NOTE, json!({}))}
                ]}),
            ),
        ]
    };
    let head = agent.head().await;
    for (nsid, input) in inputs(&stale) {
        agent.call(nsid, input).await.refused(400, "InvalidSwap");
    }
    for (nsid, input) in inputs("nothing") {
        agent.call(nsid, input).await.refused(400, "InvalidRequest");
    }
    assert_eq!(agent.head().await, head);
    for at in 0..4 {
        let head = agent.head().await.0;
        let (nsid, input) = inputs(&head).into_iter().nth(at).unwrap();
        assert!(commit_of(&agent.call(nsid, input).await.ok()).is_some(), "{nsid}");
        assert_ne!(agent.head().await.0, head);
    }
}

/// No lexicon is known: asking for validation is refused, and nothing else claims it.
pub async fn validation_is_never_pretended(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    for nsid in [CREATE, PUT] {
        let input = |validate: Value| {
            let mut input = json!({"collection": NOTE, "rkey": unique(), "record": record(NOTE, json!({}))});
            if !validate.is_null() {
                input["validate"] = validate;
            }
            input
        };
        let head = agent.head().await;
        agent.call(nsid, input(json!(true))).await.refused(400, "InvalidRequest");
        agent.call(nsid, input(json!("yes"))).await.refused(400, "InvalidRequest");
        assert_eq!(agent.head().await, head);
        let unknown = Written::of(&agent.call(nsid, input(Value::Null)).await);
        assert_eq!(unknown.validation_status.as_deref(), Some("unknown"));
        let off = Written::of(&agent.call(nsid, input(json!(false))).await);
        assert_eq!(off.validation_status, None);
    }
    let writes = json!([{"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "value": record(NOTE, json!({}))}]);
    let apply = |validate: Option<bool>| {
        let mut input = json!({"writes": writes});
        if let Some(validate) = validate {
            input["validate"] = validate.into();
        }
        agent.call("com.atproto.repo.applyWrites", input)
    };
    apply(Some(true)).await.refused(400, "InvalidRequest");
    assert_eq!(apply(None).await.ok()["results"][0]["validationStatus"], "unknown");
    assert!(apply(Some(false)).await.ok()["results"][0].get("validationStatus").is_none());
}

/// Links, bytes, extremes, all of Unicode, any collection: the same JSON and the CID of its canonical encoding.
pub async fn any_value_of_the_data_model_comes_back_as_it_was(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let link = Cid::dag_cbor(b"linked").to_string();
    let raw = Cid::raw(b"blob").to_string();
    agent.upload(Some("image/png"), b"blob".as_slice()).await;
    let values = [
        json!({}),
        json!({"link": {"$link": link}, "links": [{"$link": link}, {"$link": raw}]}),
        json!({"bytes": {"$bytes": "AAECAwQ"}, "none": {"$bytes": ""}}),
        json!({"least": i64::MIN, "most": i64::MAX, "beyond JavaScript": 9_007_199_254_740_993_i64, "zero": 0, "minus": -1}),
        json!({"null": null, "true": true, "false": false, "empty": {}, "list": [], "nested": [[[{}]]]}),
        json!({"text": "\u{0}\u{1}\t\n\r\"\\/\u{7f}\u{80}\u{2028}\u{feff}\u{ffff}\u{10ffff}", "\u{1f426}": "e\u{301} \u{e9}", "": "empty name"}),
        json!({"b": 1, "a": 2, "aa": 3, "B": 4, "10": 5, "9": 6}),
        json!({"image": {"$type": "blob", "ref": {"$link": raw}, "mimeType": "image/png", "size": 4}}),
        json!({"embed": {"$type": "com.example.other#main", "x": 1}, "$other": "ignored"}),
        json!({"float-like text": "1.5", "big": "x".repeat(50_000)}),
    ];
    for collection in [NOTE, "net.Example.someThing", "a-b.c0.d"] {
        for value in &values {
            let value = record(collection, value.clone());
            let written = agent.create(collection, value.clone()).await;
            let got = agent.get(collection, written.rkey()).await.ok();
            assert_eq!(got["value"], value);
            let canonical = cbor::encode(&atproto_json::parse(value.to_string().as_bytes(), 64).unwrap());
            assert_eq!(written.cid, Cid::dag_cbor(&canonical).to_string());
        }
    }
    for rkey in ["self", "a", "~1.2-3_4:5", "3jzfcijpj2z2a", &"k".repeat(512), "..."] {
        let written = agent.put(NOTE, rkey, json!({"at": rkey})).await;
        assert_eq!(written.rkey(), rkey);
        assert_eq!(agent.get(NOTE, rkey).await.ok()["value"]["at"], rkey);
    }
    repo::verified(target, &agent.did).await;
}

/// Clients match the text.
pub async fn a_missing_record_is_said_in_the_words_clients_look_for(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa".to_owned();
    for repo in [agent.did.clone(), agent.handle.clone(), nobody] {
        let params = [("repo", repo.as_str()), ("collection", NOTE), ("rkey", "none")];
        let answer = target.query("com.atproto.repo.getRecord", &params).await;
        answer.refused(400, "RecordNotFound");
        let words = format!("Could not locate record: at://{repo}/{NOTE}/none");
        assert!(answer.message().starts_with(&words), "{answer}");
    }
}

/// Writes of one account take turns; none is lost.
pub async fn concurrent_writes_to_one_repo_are_all_kept(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let written = join_all((0..40).map(|n| agent.create(NOTE, json!({"n": n})))).await;
    let repo = repo::verified(target, &agent.did).await;
    assert_eq!(repo.records.len(), 40);
    let mut revs = BTreeSet::new();
    for written in &written {
        assert_eq!(repo.records[&format!("{NOTE}/{}", written.rkey())], written.cid);
        assert!(revs.insert(written.commit.clone().unwrap().1), "each has a commit of its own");
    }
    assert_eq!(agent.head().await.1, *revs.last().unwrap());
}
