//! Many at once, and more than there may be.

use crate::server::{Server, block_on, serve};
use futures_util::future::join_all;
use rookery_testkit::firehose::{Subscription, audit};
use rookery_testkit::{Target, TestAgent};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const NOTE: &str = "com.example.crowd";
const SUBSCRIBERS: usize = 1000;
const WRITERS: usize = 4;
const WRITES: usize = 20;
/// Each writer's signup has four.
const EVENTS: usize = WRITERS * (4 + WRITES);
const HANGING: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 3000;
const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn a_thousand_subscribers_all_get_everything() {
    #[cfg(unix)]
    super::allow_many_files();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        let mut readers = Vec::new();
        for _ in 0..SUBSCRIBERS {
            let stream = Subscription::open(&server.target, None).await;
            readers.push(tokio::spawn(read(stream)));
        }
        for writer in join_all((0..WRITERS).map(|_| tokio::spawn(write(server.target.clone())))).await {
            writer.unwrap();
        }
        let mut expected = Sha256::new();
        for (_, bytes) in audit(&server.target).await.iter().take(EVENTS) {
            expected.update(bytes);
        }
        let expected = expected.finalize();
        for (n, reader) in readers.into_iter().enumerate() {
            assert!(reader.await.unwrap() == *expected, "subscriber {n} saw something else");
        }
    });
}

async fn write(target: Target) {
    let agent = TestAgent::enroll(&target).await;
    for n in 0..WRITES {
        agent.put(NOTE, &format!("k{}", n % 7), json!({ "n": n })).await;
    }
}

/// The hash of everything.
async fn read(mut stream: Subscription) -> Vec<u8> {
    let mut hash = Sha256::new();
    for at in 0..EVENTS {
        let frame = timeout(HANGING, stream.wait_bytes()).await;
        hash.update(
            frame.unwrap_or_else(|_| panic!("nothing after {at} events")).expect("the stream goes on"),
        );
    }
    hash.finalize().to_vec()
}

#[test]
fn more_subscribers_than_are_configured_are_sent_away_until_one_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.env("ROOKERY_SUBSCRIBERS", "2");
    let server = Server::run(command);
    block_on(async {
        let mut first = Subscription::open(&server.target, None).await;
        let second = Subscription::open(&server.target, None).await;
        for _ in 0..3 {
            let refused = Subscription::connect(&server.target, None).await.err().unwrap();
            assert_eq!(refused.status, 503, "{refused}");
        }
        second.close().await;
        let mut third = after_a_while(&server.target).await;
        // Also one that does not say goodbye.
        drop(third);
        third = after_a_while(&server.target).await;
        TestAgent::enroll(&server.target).await;
        assert_eq!(first.next().await, third.next().await);
    });
    // Whether there is a place for the audit already is a matter of luck. In a server that is new there is.
    server.kill();
    Server::start(dir.path());
}

/// The server may take a moment to see that somebody left.
async fn after_a_while(target: &Target) -> Subscription {
    for _ in 0..ATTEMPTS {
        match Subscription::connect(target, None).await {
            Ok(stream) => return stream,
            Err(refused) => assert_eq!(refused.status, 503, "{refused}"),
        }
        sleep(PAUSE).await;
    }
    panic!("the place of one who left is not given to another");
}
