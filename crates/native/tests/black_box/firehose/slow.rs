//! Readers that are slow, and what they cost the server and the others.

use crate::server::{Server, block_on, serve};
use futures_util::future::join_all;
use rookery_testkit::firehose::subscribe::{Closed, Received, Trickle};
use rookery_testkit::firehose::{Frame, Subscription, audit};
use rookery_testkit::{Target, TestAgent};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const NOTE: &str = "com.example.slow";
const FAST: usize = 50;
const WRITERS: usize = 4;
const HANGING: Duration = Duration::from_secs(60);
/// What is configured for all subscribers together.
const MEMORY: usize = 8 * 1024 * 1024;
/// What else the server may take under this load.
const ALLOWANCE: usize = 24 * 1024 * 1024;

fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Server {
    let mut command = serve(data_dir);
    command.envs(settings.iter().copied());
    Server::run(command)
}

/// An agent that makes so many events of about so many bytes.
async fn write(target: Target, events: usize, size: usize) {
    let agent = TestAgent::enroll(&target).await;
    for n in 0..events {
        agent.put(NOTE, "k", json!({"n": n, "text": "x".repeat(size)})).await;
    }
}

async fn write_all(target: &Target, events: usize, size: usize) {
    let writers = (0..WRITERS).map(|_| tokio::spawn(write(target.clone(), events / WRITERS, size)));
    for writer in join_all(writers).await {
        writer.unwrap();
    }
}

/// Numbers and bytes of so many events as one hash.
async fn read(mut stream: Subscription, events: usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    for at in 0..events {
        let frame = timeout(HANGING, stream.wait_bytes()).await;
        hash.update(
            frame.unwrap_or_else(|_| panic!("nothing after {at} events")).expect("the stream goes on"),
        );
    }
    hash.finalize().to_vec()
}

#[test]
fn one_that_reads_a_byte_a_second_costs_the_others_nothing_and_the_server_little() {
    const WRITES: usize = 800;
    const SIZE: usize = 50_000;
    const EVENTS: usize = WRITES + 4 * WRITERS;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[("ROOKERY_SUBSCRIBER_MEMORY", "8MiB")]);
    let target = &server.target;
    block_on(async {
        let fast: Vec<_> = join_all((0..FAST).map(|_| Subscription::open(target, None))).await;
        let fast: Vec<_> = fast.into_iter().map(|stream| tokio::spawn(read(stream, EVENTS))).collect();
        let (enough, stop) = watch::channel(false);
        let mut slow = Trickle::connect(target, None).await;
        let slow = tokio::spawn(async move {
            while !*stop.borrow() {
                slow.read_one().await;
                sleep(Duration::from_secs(1)).await;
            }
            slow
        });
        let before = server.memory();
        write_all(target, WRITES, SIZE).await;
        let mut found = Vec::new();
        for reader in fast {
            found.push(reader.await.unwrap());
        }
        let peak = server.peak_memory();
        enough.send_replace(true);
        let log = audit(target).await;
        let mut expected = Sha256::new();
        log.iter().take(EVENTS).for_each(|(_, bytes)| expected.update(bytes));
        let expected = expected.finalize();
        assert!(found.iter().all(|hash| *hash == *expected), "a fast reader saw something else");
        // It may have been let go, if others had to wait for the memory that it held. It has missed nothing until then.
        let mut slow = slow.await.unwrap().hurry().await;
        for (seq, bytes) in log.iter().take(EVENTS) {
            match timeout(HANGING, slow.wait_bytes()).await.expect("it is sent more, or let go") {
                Ok(found) => assert!(found == bytes, "the slow reader saw something else than event {seq}"),
                Err(_) => break,
            }
        }
        assert!(peak - before < MEMORY + ALLOWANCE, "from {before} to {peak} bytes");
    });
}

/// It is told, if it reads on; what came before is whole.
#[test]
fn one_that_falls_too_far_behind_is_told_and_closed() {
    const LAG: usize = 20;
    const WRITES: usize = 200;
    // More than sockets hold: what they hold has been sent.
    const SIZE: usize = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[("ROOKERY_SUBSCRIBER_LAG", &LAG.to_string())]);
    let target = &server.target;
    block_on(async {
        let mut fast = Subscription::open(target, None).await;
        let late = Trickle::connect(target, None).await;
        let fast = tokio::spawn(async move {
            let mut log = Vec::new();
            while log.len() < WRITES + 4 * WRITERS {
                log.push(fast.next().await.expect("one that keeps up is not closed").bytes);
            }
            log
        });
        write_all(target, WRITES, SIZE).await;
        let log = fast.await.unwrap();
        let mut late = late.hurry().await;
        let mut seen = 0;
        let end = loop {
            match late.next().await {
                Ok(Received { frame: Frame::Event(_), bytes }) => assert!(bytes == log[seen], "event {seen}"),
                Ok(Received { frame: Frame::Error(error), .. }) => break error,
                other => panic!("expected ConsumerTooSlow, found {other:?}"),
            }
            seen += 1;
        };
        assert_eq!(end.name, "ConsumerTooSlow");
        assert!(seen + LAG < log.len(), "{seen} of {} events were sent", log.len());
        let closed = late.next().await;
        assert!(matches!(closed, Err(Closed { code: Some(_), .. })), "{closed:?}");
        // Coming back with the last number, it misses nothing: a backlog is no lag.
        let last = Frame::decode(&log[seen - 1]).unwrap();
        let mut again = Subscription::open(target, Some(last.event().unwrap().seq)).await;
        for bytes in &log[seen..] {
            assert!(again.next().await.expect("the stream goes on").bytes == bytes);
        }
    });
}
