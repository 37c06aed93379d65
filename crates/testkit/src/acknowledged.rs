//! Writing to a host that may end at any moment, and looking afterwards for all that it has acknowledged.
//!
//! What was acknowledged is kept in a file, since whoever ends and starts the host is another program.

use crate::agent::{CREATE, TestAgent, record};
use crate::answer::Answer;
use crate::firehose::audit;
use crate::firehose::audit::list_repos;
use crate::target::{Target, text};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NOTE: &str = "com.example.acknowledged";
const WRITERS: usize = 6;
/// Pause after a request that was not answered.
const PAUSE: Duration = Duration::from_millis(50);
/// Time that a host has to tell of what it has.
const HANGING: Duration = Duration::from_secs(180);

/// Enrolls agents and calls `writing`; then lets them create records until `done`, and adds a line to the file for each that
/// was acknowledged. Requests that fail are as good as never made.
pub async fn write(target: &Target, file: &Path, writing: impl FnOnce(), done: Arc<AtomicBool>) {
    let file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    let file = Arc::new(Mutex::new(file));
    let agents = join_all((0..WRITERS).map(|_| TestAgent::enroll(target))).await;
    writing();
    join_all(agents.into_iter().map(|agent| keep_writing(agent, Arc::clone(&file), Arc::clone(&done)))).await;
}

async fn keep_writing(agent: TestAgent, file: Arc<Mutex<File>>, done: Arc<AtomicBool>) {
    for n in 0.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let input = json!({"collection": NOTE, "record": record(NOTE, json!({ "n": n }))});
        match agent.try_call(CREATE, input).await {
            Ok(answer) if answer.status == 200 => {
                let body = answer.ok();
                let line = format!("{} {}\n", text(&body, "uri"), text(&body, "cid"));
                file.lock().unwrap().write_all(line.as_bytes()).unwrap();
            }
            Ok(answer) => expected(&answer),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Only that the host is not there may be wrong with a good request.
fn expected(answer: &Answer) {
    assert!(answer.status >= 500, "a good write was refused: {answer}");
}

/// Panics unless all that was acknowledged is there, and the firehose tells of everything that is, once. The number of records.
pub async fn verify(target: &Target, file: &Path) -> usize {
    let mut records: BTreeMap<String, String> = BTreeMap::new();
    for line in BufReader::new(File::open(file).unwrap()).lines() {
        let line = line.unwrap();
        let (uri, cid) = line.split_once(' ').expect("a URI and a CID");
        assert!(records.insert(uri.to_owned(), cid.to_owned()).is_none(), "{uri} was acknowledged twice");
    }
    let accounts: BTreeSet<&str> = records.keys().map(|uri| uri.split('/').nth(2).unwrap()).collect();
    caught_up(target, &accounts).await;
    audit(target).await;
    for (uri, cid) in &records {
        let [repo, collection, rkey] = uri.trim_start_matches("at://").splitn(3, '/').collect::<Vec<_>>()[..]
        else {
            panic!("{uri} is no URI of a record")
        };
        let params = [("repo", repo), ("collection", collection), ("rkey", rkey)];
        let found = target.query("com.atproto.repo.getRecord", &params).await;
        assert_eq!(found.status, 200, "{uri} was acknowledged: {found}");
        assert_eq!(text(&found.ok(), "cid"), *cid, "{uri}");
    }
    records.len()
}

/// Waits until the list of repos, which goes by what the firehose has told, has the commits that the accounts have.
async fn caught_up(target: &Target, accounts: &BTreeSet<&str>) {
    let start = Instant::now();
    loop {
        let listed: BTreeMap<String, String> =
            list_repos(target).await.iter().map(|repo| (text(repo, "did"), text(repo, "rev"))).collect();
        let mut behind = Vec::new();
        for did in accounts {
            let (_, rev) = target.head(did).await;
            if listed.get(*did) != Some(&rev) {
                behind.push(did);
            }
        }
        if behind.is_empty() {
            return;
        }
        assert!(start.elapsed() < HANGING, "the firehose does not tell all that there is of {behind:?}");
        tokio::time::sleep(PAUSE * 10).await;
    }
}
