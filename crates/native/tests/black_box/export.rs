//! Exporting a repo takes the memory of a few chunks, however large the repo is.

use crate::server::{Server, block_on};
use bytes::Bytes;
use rookery_testkit::agent::{APPLY, record};
use rookery_testkit::{TestAgent, repo};
use serde_json::json;

const NOTE: &str = "com.example.export";
/// Records of the large repo. The small one has a tenth.
const RECORDS: usize = 200_000;
/// What the server's memory may grow by, in bytes.
const GROWTH: usize = 32 * 1024 * 1024;

#[test]
fn exporting_a_large_repo_takes_no_more_memory_than_a_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let [small, large] = block_on(async {
        let (small, large) =
            (TestAgent::enroll(&server.target).await, TestAgent::enroll(&server.target).await);
        fill(&small, RECORDS / 10).await;
        fill(&large, RECORDS).await;
        [small, large]
    });
    // A new process has no memory of the writing.
    server.kill();
    let server = Server::start(dir.path());
    let export = |agent: &TestAgent, count| {
        let repo = block_on(repo::verified(&server.target, &agent.did));
        assert_eq!(repo.records.len(), count);
        let size: usize = repo.car.blocks.values().map(Bytes::len).sum();
        (size, server.peak_memory())
    };
    let (_, before) = export(&small, RECORDS / 10);
    let (size, after) = export(&large, RECORDS);
    assert!(size > 2 * GROWTH, "{size} bytes are too few to show anything");
    assert!(after - before < GROWTH, "from {before} to {after} bytes for an export of {size}");
}

/// Writes records of about 400 bytes.
async fn fill(agent: &TestAgent, count: usize) {
    let numbers: Vec<_> = (0..count).collect();
    for numbers in numbers.chunks(200) {
        let writes: Vec<_> = numbers
            .iter()
            .map(|n| {
                let value = record(NOTE, json!({"n": n, "text": "forty characters are in this line of text".repeat(8)}));
                json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": format!("{n:08}"), "value": value})
            })
            .collect();
        agent.call(APPLY, json!({ "writes": writes })).await.ok();
    }
}
