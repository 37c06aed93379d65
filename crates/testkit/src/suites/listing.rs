//! Reading many records.

use crate::agent::{APPLY, TestAgent, record};
use crate::keys::unique;
use crate::target::{Target, text};
use serde_json::{Value, json};

const LIST: &str = "com.atproto.repo.listRecords";
const NOTE: &str = "com.example.note";

/// Creates records under these paths in one commit.
async fn fill(agent: &TestAgent, paths: &[(&str, String)]) {
    let create = |(collection, rkey): &(&str, String)| {
        json!({"$type": "com.atproto.repo.applyWrites#create", "collection": collection, "rkey": rkey,
               "value": record(collection, json!({"rkey": rkey}))})
    };
    agent.call(APPLY, json!({"writes": paths.iter().map(create).collect::<Vec<_>>()})).await.ok();
}

fn rkeys(page: &Value) -> Vec<String> {
    let records = page["records"].as_array().unwrap();
    records.iter().map(|record| text(record, "uri").rsplit('/').next().unwrap().to_owned()).collect()
}

async fn all_pages(agent: &TestAgent, limit: &str, reverse: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let params = [
            ("repo", agent.did.as_str()),
            ("collection", NOTE),
            ("limit", limit),
            ("reverse", reverse),
            ("cursor", &cursor),
        ];
        let page = agent.target.query(LIST, &params).await.ok();
        found.extend(rkeys(&page));
        assert!(found.len() <= 1000, "the pages do not end");
        match page.get("cursor") {
            Some(next) => cursor = next.as_str().unwrap().to_owned(),
            None => return found,
        }
    }
}

/// Every record once, in order, however long the pages are.
pub async fn records_are_listed_newest_first_and_page_by_page(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let mut keys: Vec<String> = (0..23).map(|n| format!("k{n:02}")).collect();
    keys.extend(["K", "a", "a.b", "a:", "a~", "~", "-", "_", ":"].map(str::to_owned));
    fill(&agent, &keys.iter().map(|key| (NOTE, key.clone())).collect::<Vec<_>>()).await;
    keys.sort();
    let newest_first: Vec<String> = keys.iter().rev().cloned().collect();
    for limit in ["1", "7", "16", "32", "100"] {
        assert_eq!(all_pages(&agent, limit, "false").await, newest_first, "limit {limit}");
        assert_eq!(all_pages(&agent, limit, "true").await, keys, "limit {limit}");
    }
    let page = target.query(LIST, &[("repo", &agent.handle), ("collection", NOTE)]).await.ok();
    assert_eq!(rkeys(&page), newest_first);
    let first = &page["records"][0];
    assert_eq!(*first, agent.get(NOTE, &newest_first[0]).await.ok(), "a listed record is the record");

    // A page starts after its cursor, wherever that record went.
    let page = target.query(LIST, &[("repo", &agent.did), ("collection", NOTE), ("limit", "3")]).await.ok();
    agent.delete(NOTE, &newest_first[2]).await.unwrap();
    let cursor = text(&page, "cursor");
    let page = target
        .query(LIST, &[("repo", &agent.did), ("collection", NOTE), ("limit", "2"), ("cursor", &cursor)])
        .await
        .ok();
    assert_eq!(rkeys(&page), newest_first[3..5]);
}

/// Names that begin alike, and sort between a collection and its records.
pub async fn neighbouring_collections_never_leak(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let stranger = TestAgent::enroll(target).await;
    let collections = [
        "com.example.not",
        NOTE,
        "com.example.noteA",
        "com.example.notes",
        "com.example.note.a",
        "com.example.note0",
        "com.example-a.note",
    ];
    let paths: Vec<_> =
        collections.iter().flat_map(|name| ["0", "k", "~"].map(|rkey| (*name, rkey.to_owned()))).collect();
    fill(&agent, &paths).await;
    fill(&stranger, &[(NOTE, "x".to_owned()), (NOTE, "k".to_owned())]).await;
    for collection in collections {
        for (reverse, expected) in [("true", ["0", "k", "~"]), ("false", ["~", "k", "0"])] {
            for limit in ["2", "100"] {
                let params = [
                    ("repo", agent.did.as_str()),
                    ("collection", collection),
                    ("limit", limit),
                    ("reverse", reverse),
                ];
                let page = target.query(LIST, &params).await.ok();
                let expected = &expected[..expected.len().min(limit.parse().unwrap())];
                assert_eq!(rkeys(&page), expected, "{collection}");
                for record in page["records"].as_array().unwrap() {
                    let prefix = format!("at://{}/{collection}/", agent.did);
                    assert!(text(record, "uri").starts_with(&prefix), "{record}");
                    assert_eq!(record["value"]["$type"], collection);
                }
            }
        }
    }
    let page = target.query(LIST, &[("repo", &agent.did), ("collection", "com.example.noone")]).await.ok();
    assert_eq!(page, json!({"records": []}));
    let page = target.query(LIST, &[("repo", &stranger.did), ("collection", NOTE)]).await.ok();
    assert_eq!(rkeys(&page), ["x", "k"]);
}

/// 1 to 100, and a cursor that this endpoint gave.
pub async fn limits_and_cursors_are_checked(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    fill(&agent, &(0..60).map(|n| (NOTE, format!("k{n:02}"))).collect::<Vec<_>>()).await;
    let list = |name: &'static str, value: String| {
        let did = agent.did.clone();
        async move { target.query(LIST, &[("repo", &did), ("collection", NOTE), (name, &value)]).await }
    };
    assert_eq!(rkeys(&list("limit", String::new()).await.ok()).len(), 50, "the default");
    assert_eq!(rkeys(&list("limit", "100".into()).await.ok()).len(), 60);
    for limit in ["0", "101", "-1", "1.5", "x", "99999999999999999999", "1\u{0}"] {
        list("limit", limit.into()).await.refused(400, "InvalidRequest");
    }
    for reverse in ["yes", "2", "\u{0}"] {
        list("reverse", reverse.into()).await.refused(400, "InvalidRequest");
    }
    // A cursor is opaque: one that was never given is refused or leads somewhere, but breaks nothing.
    for cursor in ["\u{0}", "' OR 1=1 --", "k99", "\u{10ffff}", "../../x", &"c".repeat(2000)] {
        let answer = list("cursor", cursor.into()).await;
        assert!(matches!(answer.status, 200 | 400), "{cursor:?}: {answer}");
    }
    for repo in [
        format!("{}{}", unique(), target.handle_domain().await),
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
    ] {
        let answer = target.query(LIST, &[("repo", &repo), ("collection", NOTE)]).await;
        answer.refused_with(400);
        assert!(answer.message().contains("Could not find repo"), "{answer}");
    }
}

/// Names of collections come and go with their records.
pub async fn a_repo_is_described_with_its_collections(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let collections = || async {
        let described = target.query("com.atproto.repo.describeRepo", &[("repo", &agent.handle)]).await.ok();
        assert_eq!(
            (text(&described, "did"), text(&described, "handle")),
            (agent.did.clone(), agent.handle.clone())
        );
        let mut names: Vec<_> = described["collections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert!(collections().await.is_empty());
    fill(
        &agent,
        &[(NOTE, "a".into()), (NOTE, "b".into()), ("com.example.notes", "a".into()), ("com.a.b", "a".into())],
    )
    .await;
    assert_eq!(collections().await, ["com.a.b", NOTE, "com.example.notes"]);
    agent.delete(NOTE, "a").await.unwrap();
    assert_eq!(collections().await, ["com.a.b", NOTE, "com.example.notes"]);
    agent.delete(NOTE, "b").await.unwrap();
    assert_eq!(collections().await, ["com.a.b", "com.example.notes"]);
    let unknown =
        target.query("com.atproto.repo.describeRepo", &[("repo", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")]).await;
    unknown.refused(400, "RepoNotFound");
}
