//! What is told of accounts that are not active. No request changes a status yet, so the core is asked to.

use super::{FOREVER, Host};
use rookery_atproto::syntax::Did;
use rookery_pds::store::account::Status;
use rookery_testkit::agent::{CREATE, cid_of, record};
use rookery_testkit::target::text;
use rookery_testkit::{Answer, Target, TestAgent};
use serde_json::{Value, json};

const NOTE: &str = "com.example.status";

/// Each status with the error that reads of such a repo answer.
const STATUSES: [(Status, &str); 5] = [
    (Status::Active, ""),
    (Status::Deactivated, "RepoDeactivated"),
    (Status::Suspended, "RepoSuspended"),
    (Status::Takendown, "RepoTakendown"),
    (Status::Deleted, "RepoNotFound"),
];

struct Case {
    status: &'static str,
    error: &'static str,
    agent: TestAgent,
    rkey: String,
    head: (String, String),
    blob: String,
}

#[tokio::test]
async fn an_account_that_is_not_active_is_told_of_and_not_served() {
    let host = Host::start(FOREVER).await;
    let mut cases = Vec::new();
    for (status, error) in STATUSES {
        let agent = TestAgent::enroll(&host.target).await;
        let written = agent.create(NOTE, json!({})).await;
        let blob = agent.upload(Some("text/plain"), "blob").await;
        agent.put("com.example.blobs", "self", json!({"blob": blob})).await;
        let head = agent.head().await;
        let did = Did::parse(&agent.did).unwrap();
        host.app.set_status(&did, status).await.unwrap();
        let status = status.word().unwrap_or("active");
        cases.push(Case { status, error, agent, rkey: written.rkey().to_owned(), head, blob: cid_of(&blob) });
    }
    for case in &cases {
        reads(&host.target, case).await;
        status(&host.target, case).await;
    }
    lists(&host.target, &cases).await;
    host.audit().await;
}

/// Everything that reads a repo, and a write.
async fn reads(target: &Target, case: &Case) {
    let Case { agent, rkey, head, .. } = case;
    let did = [("did", agent.did.as_str())];
    let repo = [("repo", agent.did.as_str())];
    let path = [("collection", NOTE), ("rkey", rkey)];
    let cids = [("cids", head.0.as_str())];
    let query = async |nsid: &str, params: &[&[(&str, &str)]]| {
        let answer = target.query(&format!("com.atproto.{nsid}"), &params.concat()).await;
        expect(case, &answer);
    };
    query("sync.getRepo", &[&did]).await;
    query("sync.getRepo", &[&did, &[("since", &head.1)]]).await;
    query("sync.getLatestCommit", &[&did]).await;
    query("sync.getBlocks", &[&did, &cids]).await;
    query("sync.getRecord", &[&did, &path]).await;
    query("repo.describeRepo", &[&repo]).await;
    query("sync.getBlob", &[&did, &[("cid", &case.blob)]]).await;
    query("sync.listBlobs", &[&did]).await;
    let got = target.query("com.atproto.repo.getRecord", &[&repo[..], &path[..]].concat()).await;
    match case.status {
        "deleted" => drop(got.refused(400, "RecordNotFound")),
        _ => expect(case, &got),
    }
    let listed = target.query("com.atproto.repo.listRecords", &[&repo[..], &path[..1]].concat()).await;
    let resolved =
        target.query("com.atproto.identity.resolveHandle", &[("handle", &case.agent.handle)]).await;
    if case.status == "active" {
        assert_eq!(listed.ok()["records"].as_array().map(Vec::len), Some(1));
        assert_eq!(text(&resolved.ok(), "did"), case.agent.did);
    } else {
        listed.refused(400, "InvalidRequest");
        resolved.refused(400, "HandleNotFound");
        let input = json!({"collection": NOTE, "record": record(NOTE, json!({}))});
        let write = agent.call(CREATE, input).await;
        assert!(matches!(write.status, 400 | 401 | 403), "{write}");
    }
}

#[track_caller]
fn expect(case: &Case, answer: &Answer) {
    if case.error.is_empty() {
        assert_eq!(answer.status, 200, "{answer}");
    } else {
        answer.refused(400, case.error);
    }
}

/// `getRepoStatus` answers for every account there has ever been.
async fn status(target: &Target, case: &Case) {
    let did = &case.agent.did;
    let told = target.query("com.atproto.sync.getRepoStatus", &[("did", did)]).await.ok();
    let expected = match case.status {
        "active" => json!({"did": did, "active": true, "rev": case.head.1}),
        status => json!({"did": did, "active": false, "status": status}),
    };
    assert_eq!(told, expected);
}

/// A repo that is not active is listed with its status while it is here; by collection only active ones are.
async fn lists(target: &Target, cases: &[Case]) {
    let repos = async |nsid: &str, limit: &str| -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let params = [("collection", NOTE), ("limit", limit), ("cursor", &cursor)];
            let page = target.query(nsid, &params).await.ok();
            all.extend(page["repos"].as_array().unwrap().iter().cloned());
            match page.get("cursor") {
                Some(next) => cursor = next.as_str().unwrap().to_owned(),
                None => return all,
            }
        }
    };
    let expected: Vec<_> = cases
        .iter()
        .filter(|case| case.status != "deleted")
        .map(|case| {
            let mut repo = json!({"did": case.agent.did, "head": case.head.0, "rev": case.head.1});
            repo["active"] = (case.status == "active").into();
            if case.status != "active" {
                repo["status"] = case.status.into();
            }
            repo
        })
        .collect();
    for limit in ["1", "2", "1000"] {
        assert_eq!(repos("com.atproto.sync.listRepos", limit).await, expected);
        assert_eq!(
            repos("com.atproto.sync.listReposByCollection", limit).await,
            [json!({"did": cases[0].agent.did})]
        );
    }
}
