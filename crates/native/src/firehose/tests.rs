//! What no client can bring about from outside, or not within a test's patience: a real store and core, with the time and
//! the connections in the test's hands.

use super::subscriber;
use crate::in_process::{BOUNDS, FOREVER, Host};
use rookery_atproto::data::{Value, cbor};
use rookery_atproto::syntax::{Did, Handle};
use rookery_pds::config::Retention;
use rookery_pds::sequencer::Start;
use rookery_pds::store::account::Status;
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{CREATE, record};
use rookery_testkit::firehose::{Auditor, Begin, Subscription};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Far less than those who do not read are given when nobody else needs the memory.
const HANGING: Duration = Duration::from_secs(30);

impl Host {
    async fn newest(&self) -> i64 {
        self.app.log.ends().await.unwrap().newest.seq
    }

    /// Type and body of the events after `seq`.
    async fn events(&self, seq: i64) -> Vec<(String, Value)> {
        let page = self.app.log.events(seq, 1 << 20).await.unwrap();
        page.frames.iter().map(|frame| decode(&frame.bytes)).collect()
    }

    async fn subscribe(&self, cursor: Option<i64>) -> Start {
        self.app.log.subscribe(cursor, BOUNDS.lag).await.unwrap()
    }
}

fn decode(frame: &[u8]) -> (String, Value) {
    let header = cbor::Reader::new(frame).skip(4).unwrap();
    let kind = text(&cbor::decode(header).unwrap(), "t");
    (kind.unwrap_or_default(), cbor::decode(&frame[header.len()..]).unwrap())
}

fn text(value: &Value, name: &str) -> Option<String> {
    match value.as_map()?.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn kinds(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[tokio::test]
async fn a_change_of_status_is_told_and_no_commit_follows_until_it_is_active_again() {
    let host = Host::start(FOREVER).await;
    let agent = TestAgent::enroll(&host.target).await;
    agent.create("com.example.note", json!({})).await;
    let did = Did::parse(&agent.did).unwrap();

    let before = host.newest().await;
    host.app.set_status(&did, Status::Active).await.unwrap();
    assert_eq!(host.newest().await, before, "it was active already");

    for status in [Status::Deactivated, Status::Suspended, Status::Takendown] {
        let before = host.newest().await;
        host.app.set_status(&did, status).await.unwrap();
        let input =
            json!({"collection": "com.example.note", "record": record("com.example.note", json!({}))});
        assert!(agent.call(CREATE, input).await.status >= 400);
        let events = host.events(before).await;
        assert_eq!(kinds(&events), ["#account"]);
        assert_eq!(text(&events[0].1, "status").as_deref(), status.word());
        assert_eq!(events[0].1.as_map().unwrap().get("active"), Some(&Value::Bool(false)));
    }

    let before = host.newest().await;
    host.app.set_status(&did, Status::Active).await.unwrap();
    let events = host.events(before).await;
    assert_eq!(kinds(&events), ["#account", "#identity", "#sync"]);
    assert_eq!(text(&events[0].1, "status"), None);
    assert_eq!(text(&events[1].1, "handle"), Some(agent.handle.clone()));
    assert_eq!(text(&events[2].1, "rev"), Some(agent.head().await.1));
    agent.create("com.example.note", json!({})).await;
    host.audit().await;
}

#[tokio::test]
async fn a_change_of_handle_is_told_and_one_that_is_taken_is_refused() {
    let host = Host::start(FOREVER).await;
    let (agent, other) = (TestAgent::enroll(&host.target).await, TestAgent::enroll(&host.target).await);
    let did = Did::parse(&agent.did).unwrap();
    host.audit().await;
    let before = host.newest().await;
    host.app.set_handle(&did, Handle::parse("changed.example.com").unwrap()).await.unwrap();
    let taken = host.app.set_handle(&did, Handle::parse(&other.handle).unwrap()).await.unwrap_err();
    assert_eq!((taken.status.as_u16(), taken.name), (409, "HandleTaken"));
    let events = host.events(before).await;
    assert_eq!(kinds(&events), ["#identity"]);
    assert_eq!(text(&events[0].1, "handle").as_deref(), Some("changed.example.com"));
    // Every event holds. What is served is compared before the change only: the DID document is the caller's to change.
    let last = u64::try_from(host.newest().await).unwrap();
    let mut auditor = Auditor::new(&host.target, Begin::Genesis);
    let mut stream = Subscription::open(&host.target, Some(0)).await;
    auditor.read_until(&mut stream, |event| event.seq == last).await;
}

#[tokio::test]
async fn what_is_past_the_bounds_is_forgotten_but_never_the_newest() {
    let host = Host::start(Retention { events: 3, ..FOREVER }).await;
    TestAgent::enroll(&host.target).await;
    host.audit().await;
    let all = host.app.log.events(0, 1 << 20).await.unwrap().frames;
    host.app.log.prune().await.unwrap();
    let left = host.app.log.events(0, 1 << 20).await.unwrap();
    assert_eq!((all.len(), &left.frames[..]), (8, &all[5..]));
    assert_eq!(left.ends.floor, all[4].position.seq);

    let Start::From(subscriber, Some(notice)) = host.subscribe(Some(all[2].position.seq)).await else {
        panic!("an outdated cursor gets a notice");
    };
    assert_eq!(text(&decode(&notice).1, "name").as_deref(), Some("OutdatedCursor"));
    assert_eq!(subscriber.at(), all[4].position);
    let Start::From(subscriber, None) = host.subscribe(Some(all[4].position.seq)).await else {
        panic!("a cursor after which nothing was forgotten is fine");
    };
    assert_eq!(subscriber.at(), all[4].position);

    let host = Host::start(Retention { age: Duration::ZERO, ..FOREVER }).await;
    host.audit().await;
    let newest = host.newest().await;
    host.app.log.prune().await.unwrap();
    let left = host.app.log.events(0, 1 << 20).await.unwrap().frames;
    assert_eq!(left.iter().map(|frame| frame.position.seq).collect::<Vec<_>>(), [newest]);
}

#[tokio::test]
async fn a_page_holds_what_fits_and_says_what_the_next_one_takes() {
    let host = Host::start(FOREVER).await;
    TestAgent::enroll(&host.target).await;
    let all = host.app.log.events(0, 1 << 20).await.unwrap();
    assert_eq!((all.frames.len(), all.next), (4, None));
    let none = host.app.log.events(0, 10).await.unwrap();
    let needed = none.next.unwrap();
    assert!(none.frames.is_empty() && needed >= all.frames[0].bytes.len());
    let one = host.app.log.events(0, needed).await.unwrap();
    assert_eq!(one.frames, all.frames[..1]);
    assert!(one.next.is_some());
    host.audit().await;
}

#[tokio::test]
async fn a_peer_that_does_not_answer_and_one_that_takes_nothing_are_let_go() {
    let host = Host::start(FOREVER).await;
    host.audit().await;
    tokio::time::pause();

    let (quiet, _here) = tokio::io::duplex(1 << 20);
    let start = Instant::now();
    subscriber::serve(&host.firehose, quiet, host.subscribe(None).await).await;
    let waited = start.elapsed().as_secs();
    assert!((60..=180).contains(&waited), "{waited} s");

    // The events of the enrollment do not fit.
    let (stuck, _here) = tokio::io::duplex(16);
    let start = Instant::now();
    subscriber::serve(&host.firehose, stuck, host.subscribe(Some(0)).await).await;
    let waited = start.elapsed().as_secs();
    assert!((30..=120).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn those_who_hold_the_memory_make_way_for_one_who_reads() {
    let host = Arc::new(Host::start(FOREVER).await);
    let agent = TestAgent::enroll(&host.target).await;
    let signup = host.newest().await;
    for n in 0..12 {
        agent.put("com.example.large", "k", json!({"n": n, "text": "x".repeat(900_000)})).await;
    }
    // Together they ask for more than there is; each gets stuck in the first large event.
    let mut stuck = Vec::new();
    for _ in 0..BOUNDS.memory / 900_000 + 3 {
        let (theirs, ours) = tokio::io::duplex(16);
        let host = Arc::clone(&host);
        let serving = tokio::spawn(async move {
            subscriber::serve(&host.firehose, theirs, host.subscribe(Some(signup)).await).await;
        });
        stuck.push((serving, ours));
    }
    host.firehose.recent.scarce().await;
    let mut reader = Subscription::open(&host.target, Some(0)).await;
    let all = async {
        for _ in 0..4 + 12 {
            reader.next().await.expect("the stream goes on");
        }
    };
    timeout(HANGING, all).await.expect("nobody waits for those who do not read");
    assert!(stuck.iter().any(|(serving, _)| serving.is_finished()));
    host.audit().await;
}
