//! Where a stream begins.

use super::{Listener, NOTE, next_of};
use crate::agent::TestAgent;
use crate::firehose::subscribe::{Closed, PATH};
use crate::firehose::{Frame, Subscription};
use crate::raw;
use crate::target::Target;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WRITERS: usize = 6;
const READERS: usize = 12;
/// Frames that each reader sees before it is enough.
const ENOUGH: usize = 150;

/// Exclusive: what comes next is the event after the cursor, whether or not there was one with that number.
pub async fn a_cursor_goes_on_after_the_event_it_names(target: &Target) {
    let mut listener = Listener::new(target).await;
    let mut seqs = Vec::new();
    for n in 0..5 {
        listener.agent.put(NOTE, "k", json!({ "n": n })).await;
        seqs.push(listener.next().await.seq);
    }
    let did = listener.agent.did.clone();
    for (cursor, from) in [(seqs[0], 1), (seqs[0] - 1, 0), (seqs[2] + 1, 3), (seqs[3], 4)] {
        let mut stream = Subscription::open(target, Some(cursor)).await;
        for seq in &seqs[from..] {
            assert_eq!(next_of(&mut stream, &did).await.seq, *seq, "from {cursor}");
        }
        stream.close().await;
    }
    // At the end: nothing is repeated.
    let mut stream = Subscription::open(target, Some(seqs[4])).await;
    listener.agent.put(NOTE, "k", json!({"n": "more"})).await;
    assert_eq!(next_of(&mut stream, &did).await.seq, listener.next().await.seq);
}

/// Readers come and go with the cursors they have got to, while others write. Put together, each has seen the same.
pub async fn a_resumed_stream_has_neither_gap_nor_repeat_while_others_write(target: &Target) {
    let busy = Arc::new(AtomicBool::new(true));
    let mut start = Subscription::open(target, None).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (target, busy) = (target.clone(), Arc::clone(&busy));
            tokio::spawn(async move {
                let agent = TestAgent::enroll(&target).await;
                for n in 0.. {
                    if !busy.load(Ordering::Relaxed) {
                        break;
                    }
                    agent.put(NOTE, &format!("k{}", n % 7), json!({ "n": n })).await;
                }
            })
        })
        .collect();
    let begin = start.event().await.seq - 1;
    let readers = join_all((0..READERS).map(|n| tokio::spawn(read(target.clone(), begin, n + 1)))).await;
    busy.store(false, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let mut seen: BTreeMap<u64, Bytes> = BTreeMap::new();
    for (n, reader) in readers.into_iter().enumerate() {
        let frames = reader.unwrap();
        assert!(frames.is_sorted_by(|(a, _), (b, _)| a < b), "reader {n} saw something twice");
        if n == 0 {
            seen.extend(frames.clone());
        }
        for ((seq, bytes), (expected, same)) in frames.iter().zip(&seen) {
            assert_eq!(seq, expected, "reader {n} missed something");
            assert!(bytes == same, "event {seq} is not the same for reader {n}");
        }
    }
}

/// Reads on from a cursor, connecting anew after every so many frames.
async fn read(target: Target, mut cursor: u64, connects: usize) -> Vec<(u64, Bytes)> {
    let mut frames = Vec::new();
    while frames.len() < ENOUGH {
        let mut stream = Subscription::open(&target, Some(cursor)).await;
        for _ in 0..(ENOUGH / connects).max(3) {
            let received = stream.next().await.expect("the stream goes on");
            let Frame::Event(event) = received.frame else { panic!("{:?}", received.frame) };
            cursor = event.seq;
            frames.push((event.seq, received.bytes));
        }
        // Some say goodbye, some are just gone.
        if connects.is_multiple_of(2) {
            stream.close().await;
        }
    }
    frames.truncate(ENOUGH);
    frames
}

/// An error frame, then the end.
pub async fn a_cursor_in_the_future_is_told_so_and_closed(target: &Target) {
    let mut listener = Listener::new(target).await;
    listener.agent.create(NOTE, json!({})).await;
    let newest = listener.next().await.seq;
    for cursor in [newest + 3_600_000_000, (1 << 53) - 1, i64::MAX.unsigned_abs()] {
        let mut stream = Subscription::open(target, Some(cursor)).await;
        match stream.next().await.map(|received| received.frame) {
            Ok(Frame::Error(error)) => assert_eq!(error.name, "FutureCursor"),
            other => panic!("{cursor}: expected FutureCursor, found {other:?}"),
        }
        let end = stream.next().await;
        assert!(matches!(end, Err(Closed { code: Some(_), .. })), "{cursor}: {end:?}");
    }
}

/// While it is still HTTP, where a client can read why.
pub async fn cursors_that_are_none_are_refused_before_the_upgrade(target: &Target) {
    TestAgent::enroll(target).await;
    let bad = [
        "cursor=",
        "cursor=x",
        "cursor=-1",
        "cursor=1.5",
        "cursor=1e3",
        "cursor=0x10",
        "cursor=%20",
        "cursor=%00",
        "cursor=9223372036854775808",
        "cursor=99999999999999999999999999",
        "cursor=1&cursor=2",
        "cursor=%ff",
        "cursor=%2B1",
        "cursor=1%20",
        "cursor=null",
        "cursor=true",
        "cursor",
    ];
    for query in bad {
        let request = format!(
            "GET {PATH}?{query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            target.authority()
        );
        let answer = raw::exchange(target, request.as_bytes()).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "InvalidRequest"), "{query}: {answer}");
        assert!(!answer.message().is_empty(), "{query}");
    }
}
