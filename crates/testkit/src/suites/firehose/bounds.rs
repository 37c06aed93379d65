//! The most that one commit may bring.

use super::{Listener, NOTE};
use crate::agent::{APPLY, TestAgent, record};
use crate::answer::Answer;
use crate::firehose::frame::MAX_COMMIT_BLOCKS;
use crate::target::Target;
use serde_json::json;

/// Characters in each of three records: nearly as much as there may be.
const TEXT: usize = 660_000;

/// Three records, the first of them longer by so much. Keys are the same each time, and so is the tree they make.
async fn write(agent: &TestAgent, longer: usize) -> Answer {
    let writes: Vec<_> = [longer, 0, 0]
        .iter()
        .zip(["a", "b", "c"])
        .map(|(more, rkey)| {
            let value = record(NOTE, json!({"text": rkey.repeat(TEXT + more)}));
            json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": rkey, "value": value})
        })
        .collect();
    agent.call(APPLY, json!({ "writes": writes })).await
}

/// 2,000,000 bytes of blocks are told, one more is refused and changes nothing.
pub async fn a_commit_may_be_as_large_as_the_network_takes_and_no_larger(target: &Target) {
    let mut listener = Listener::new(target).await;
    write(&listener.agent, 0).await.ok();
    let room = MAX_COMMIT_BLOCKS - listener.commit().await.blocks.len();

    let mut listener = Listener::new(target).await;
    let before = listener.agent.head().await;
    let answer = write(&listener.agent, room + 1).await;
    answer.refused(400, "InvalidRequest");
    assert!(answer.message().contains("2000000"), "{answer}");
    assert_eq!(listener.agent.head().await, before);
    listener.nothing_came("a commit that is too large").await;

    let mut listener = Listener::new(target).await;
    write(&listener.agent, room).await.ok();
    let commit = listener.commit().await;
    assert_eq!((commit.blocks.len(), commit.ops.len()), (MAX_COMMIT_BLOCKS, 3));
    // To delete them takes hardly any room.
    for rkey in ["a", "b", "c"] {
        listener.agent.delete(NOTE, rkey).await.unwrap();
        assert!(listener.commit().await.blocks.len() < 10_000);
    }
}

/// Many records, each of them small enough.
pub async fn many_records_that_are_too_much_together_are_refused(target: &Target) {
    let mut listener = Listener::new(target).await;
    let batch = |each: usize| {
        let writes: Vec<_> = (0..200)
            .map(|n| {
                let value = record(NOTE, json!({"n": n, "text": "x".repeat(each)}));
                json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "rkey": format!("k{n:03}"), "value": value})
            })
            .collect();
        json!({ "writes": writes })
    };
    let agent = listener.agent.clone();
    agent.call(APPLY, batch(9_990)).await.refused(400, "InvalidRequest");
    listener.nothing_came("a batch that is too large").await;
    agent.call(APPLY, batch(9_600)).await.ok();
    let commit = listener.commit().await;
    assert_eq!(commit.ops.len(), 200);
    assert!(commit.blocks.len() > 1_900_000, "{} bytes", commit.blocks.len());
}
