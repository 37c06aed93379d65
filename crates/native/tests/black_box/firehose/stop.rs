//! The end of a server, as its readers see it.

use super::told::Told;
use crate::server::{Server, block_on};
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{CREATE, record};
use rookery_testkit::firehose::subscribe::{Closed, Trickle};
use rookery_testkit::firehose::{Frame, Subscription};
use serde_json::json;

const NOTE: &str = "com.example.stop";
/// RFC 6455, section 7.4.1: the server goes away.
const GOING_AWAY: u16 = 1001;
const WRITERS: usize = 4;
const READERS: usize = 20;

#[test]
fn a_server_that_stops_says_goodbye_to_its_subscribers_and_has_told_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (exit, acknowledged, seen) = block_on(async {
        let target = server.target.clone();
        let mut readers = Vec::new();
        for n in 0..READERS {
            let mut stream = Subscription::open(&target, (n % 2 == 0).then_some(0)).await;
            readers.push(tokio::spawn(async move {
                let mut last = 0;
                loop {
                    match stream.wait().await.map(|received| received.frame) {
                        Ok(Frame::Event(event)) => last = event.seq,
                        Ok(other) => panic!("expected an event, found {other:?}"),
                        Err(closed) => return (last, closed),
                    }
                }
            }));
        }
        // These answer to nothing, and do not keep the server.
        let deaf = [Trickle::connect(&target, None).await, Trickle::connect(&target, Some(0)).await];
        let (sender, mut written) = tokio::sync::mpsc::unbounded_channel();
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let agent = TestAgent::enroll(&target).await;
            let sender = sender.clone();
            writers.push(tokio::spawn(async move {
                loop {
                    let input = json!({"collection": NOTE, "record": record(NOTE, json!({}))});
                    match agent.try_call(CREATE, input).await {
                        Ok(answer) if answer.status == 200 => sender.send(answer).unwrap(),
                        _ => return,
                    }
                }
            }));
        }
        let mut acknowledged = 0;
        while acknowledged < 40 {
            written.recv().await.unwrap();
            acknowledged += 1;
        }
        server.terminate();
        for writer in writers {
            writer.await.unwrap();
        }
        while written.try_recv().is_ok() {
            acknowledged += 1;
        }
        let mut seen = Vec::new();
        for reader in readers {
            let (last, Closed { code, reason }) = reader.await.unwrap();
            assert_eq!(code, Some(GOING_AWAY), "{reason}");
            seen.push(last);
        }
        let (exit, _) = server.wait();
        drop(deaf);
        (exit, acknowledged, seen)
    });
    assert!(exit.success(), "{exit}");
    let server = Server::start(dir.path());
    let told = block_on(Told::new(&server.target).replay(&server.target));
    assert!(told.len() >= acknowledged, "{} events of {acknowledged} writes", told.len());
    assert!(seen.into_iter().all(|last| told.contains(last)), "something was sent that is not in the log");
}
