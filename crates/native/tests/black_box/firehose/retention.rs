//! A log that is short.

use crate::server::{Server, block_on, serve};
use rookery_testkit::firehose::{Auditor, Begin, Frame, Received, Subscription};
use rookery_testkit::{Target, TestAgent};
use serde_json::json;
use std::time::Duration;

const NOTE: &str = "com.example.retention";
const LIMIT: usize = 50;
const ATTEMPTS: usize = 3000;
const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn an_old_cursor_is_told_that_it_is_and_misses_nothing_that_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.env("ROOKERY_EVENT_LIMIT", LIMIT.to_string());
    let server = Server::run(command);
    let target = &server.target;
    block_on(async {
        let mut live = Subscription::open(target, None).await;
        let mut auditor = Auditor::new(target, Begin::Genesis);
        let agent = TestAgent::enroll(target).await;
        for n in 0..4 * LIMIT {
            agent.put(NOTE, &format!("k{}", n % 9), json!({ "n": n })).await;
        }
        let mut log = Vec::new();
        for _ in 0..4 + 4 * LIMIT {
            log.push(auditor.next(&mut live).await);
        }
        let seq = |at: usize| log[at].0.seq;
        let kept = log.len() - LIMIT;
        forgotten(target, seq(kept - 2)).await;

        let mut streams = Vec::new();
        for cursor in [0, 1, seq(0), seq(10), seq(kept - 2), seq(kept - 1) - 1] {
            let mut stream = Subscription::open(target, Some(cursor)).await;
            match stream.next().await {
                Ok(Received { frame: Frame::Info(info), .. }) => assert_eq!(info.name, "OutdatedCursor"),
                other => panic!("{cursor}: expected OutdatedCursor, found {other:?}"),
            }
            streams.push((stream, kept));
        }
        // Everything after these is there.
        for at in [kept - 1, kept, kept + 20] {
            streams.push((Subscription::open(target, Some(seq(at))).await, at + 1));
        }
        let mut readers = Vec::new();
        for (mut stream, from) in streams {
            let mut midway = Auditor::new(target, Begin::Midway);
            for (event, bytes) in &log[from..] {
                let (found, same) = midway.next(&mut stream).await;
                assert_eq!(found.seq, event.seq, "something was skipped");
                assert!(same == bytes);
            }
            readers.push((stream, midway));
        }
        for n in 0..5 {
            agent.put(NOTE, "more", json!({ "n": n })).await;
            let told = auditor.next(&mut live).await;
            for (stream, midway) in &mut readers {
                assert_eq!(midway.next(stream).await, told);
            }
        }
        auditor.agrees().await;
    });
    // That was the audit: the first events are gone from the log.
    server.kill();
}

/// Waits until the event after `cursor` is gone.
async fn forgotten(target: &Target, cursor: u64) {
    for _ in 0..ATTEMPTS {
        let mut stream = Subscription::open(target, Some(cursor)).await;
        let first = stream.next().await.expect("the stream goes on");
        stream.close().await;
        if matches!(first.frame, Frame::Info(_)) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("more events are kept than the limit says");
}
