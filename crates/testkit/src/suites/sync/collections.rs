//! `listReposByCollection`.

use crate::agent::{APPLY, TestAgent, record};
use crate::keys::unique;
use crate::target::{Target, text};
use serde_json::{Value, json};

const LIST: &str = "com.atproto.sync.listReposByCollection";

/// A collection that no other test writes to.
fn collection() -> String {
    format!("com.example.{}", unique().replace('-', ""))
}

/// All accounts with records in a collection, read in pages.
async fn holders(target: &Target, collection: &str, limit: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let params = [("collection", collection), ("limit", &limit.to_string()), ("cursor", &cursor)];
        let page = target.query(LIST, &params).await.ok();
        let repos = page["repos"].as_array().unwrap();
        assert!(repos.len() <= limit);
        found.extend(repos.iter().map(|repo| text(repo, "did")));
        match page.get("cursor") {
            Some(next) => {
                assert_eq!(repos.len(), limit, "a page with a cursor is full");
                cursor = next.as_str().unwrap().to_owned();
            }
            None => return found,
        }
    }
}

fn write(kind: &str, collection: &str, rkey: &str, n: usize) -> Value {
    let value = record(collection, json!({ "n": n }));
    let mut write = json!({"$type": format!("{APPLY}#{kind}"), "collection": collection, "rkey": rkey});
    if kind != "delete" {
        write["value"] = value;
    }
    write
}

/// Whatever the page size; neighbours by name are other collections.
pub async fn accounts_are_listed_by_collection_page_by_page(target: &Target) {
    let wanted = collection();
    let (longer, parent) = (format!("{wanted}x"), format!("{wanted}.sub"));
    let mut agents = Vec::new();
    for _ in 0..5 {
        agents.push(TestAgent::enroll(target).await);
    }
    // Not in the order in which they were made.
    for n in [3, 0, 4, 1] {
        agents[n].create(&wanted, json!({ "n": n })).await;
    }
    agents[2].create(&longer, json!({})).await;
    agents[2].create(&parent, json!({})).await;
    let expected: Vec<_> = [0, 1, 3, 4].map(|n| agents[n].did.clone()).into();
    for limit in [1, 2, 3, 4, 5, 2000] {
        assert_eq!(holders(target, &wanted, limit).await, expected, "in pages of {limit}");
    }
    assert_eq!(holders(target, &longer, 500).await, [agents[2].did.clone()]);
    assert!(holders(target, &collection(), 500).await.is_empty());
}

/// From the first record to the last, whichever way they come and go.
pub async fn an_account_is_listed_while_it_has_records_of_the_collection(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let (first, second) = (collection(), collection());
    let listed = async |collection: &str| {
        let found = holders(target, collection, 500).await;
        assert!(found.is_empty() || found == [agent.did.clone()], "{found:?}");
        !found.is_empty()
    };
    let apply = async |writes: Value| agent.call(APPLY, json!({ "writes": writes })).await;

    agent.put(&first, "a", json!({})).await;
    assert!(listed(&first).await);
    agent.put(&first, "a", json!({"n": 2})).await;
    agent.put(&first, "b", json!({})).await;
    agent.delete(&first, "a").await.unwrap();
    assert!(listed(&first).await, "one is left");
    agent.delete(&first, "b").await.unwrap();
    assert!(!listed(&first).await, "none is left");

    // In one batch: what comes and goes leaves nothing, what goes and comes stays.
    apply(json!([write("create", &first, "a", 1), write("create", &second, "a", 1)])).await.ok();
    assert!(listed(&first).await && listed(&second).await);
    apply(json!([write("delete", &first, "a", 0), write("create", &first, "b", 1)])).await.ok();
    apply(json!([write("delete", &second, "a", 0), write("create", &second, "a", 2)])).await.ok();
    assert!(listed(&first).await && listed(&second).await);
    apply(json!([write("delete", &first, "b", 0), write("update", &second, "a", 3)])).await.ok();
    assert!(!listed(&first).await && listed(&second).await);
    apply(json!([write("create", &first, "c", 1), write("delete", &first, "c", 0)])).await.ok();
    assert!(!listed(&first).await);

    // A batch that is refused changes nothing.
    apply(json!([write("create", &first, "a", 1), write("create", &second, "a", 1)])).await.refused_with(409);
    apply(json!([write("delete", &second, "a", 0), write("update", &first, "a", 1)])).await.refused_with(400);
    assert!(!listed(&first).await && listed(&second).await);
}

/// And a relay's methods are not pretended.
pub async fn queries_by_collection_are_checked(target: &Target) {
    for bad in ["", "x", "com", "com.example", "com.example.*", "\u{0}"] {
        target.query(LIST, &[("collection", bad)]).await.refused(400, "InvalidRequest");
    }
    for (name, bad) in [("limit", "0"), ("limit", "2001"), ("limit", "x"), ("cursor", "x"), ("cursor", "-1")]
    {
        let params = [("collection", "com.example.note"), (name, bad)];
        target.query(LIST, &params).await.refused(400, "InvalidRequest");
    }
    for method in ["getHostStatus", "listHosts"] {
        let answer = target.query(&format!("com.atproto.sync.{method}"), &[("hostname", "localhost")]).await;
        answer.refused(501, "MethodNotImplemented");
    }
}
