//! The log that accounts with stores of their own deliver to.

use super::{FOREVER, Host, nothing};
use crate::clock::SystemClock;
use crate::sqlite::{Bounds, SqliteEngine};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rookery_atproto::data::{Cid, cbor};
use rookery_atproto::event::Unsequenced;
use rookery_atproto::syntax::{Did, Tid};
use rookery_pds::app::App;
use rookery_pds::http::router;
use rookery_pds::ports::Listed;
use rookery_pds::relay::AccountWatch;
use rookery_pds::sequencer::{Delivered, Delivery, DeliveryError, Frame, SharedLog};
use rookery_pds::store::account::Status;
use rookery_testkit::TestAgent;
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;
use tower::ServiceExt;

const ACCOUNTS: usize = 3;
const COLLECTIONS: [&str; 3] = ["com.example.a", "com.example.b", "com.example.longer"];

fn engine(dir: &TempDir) -> Arc<SqliteEngine> {
    Arc::new(SqliteEngine::open(&dir.path().join("log.db"), Bounds::default()).unwrap())
}

async fn open(engine: &Arc<SqliteEngine>) -> SharedLog {
    SharedLog::open(engine.clone(), Arc::new(SystemClock), FOREVER).await.unwrap()
}

async fn frames(log: &SharedLog) -> Vec<Frame> {
    log.log.events(0, 1 << 30).await.unwrap().frames
}

/// An account with a store of its own.
struct Account {
    did: Did,
    /// What it has ever told.
    told: Vec<Delivered>,
    /// Where what it still has begins.
    kept: usize,
    /// The last event that it knows to have come.
    mark: i64,
    /// Collections that it has records in.
    has: [bool; COLLECTIONS.len()],
    /// The collection that each event touches.
    touched: Vec<usize>,
}

impl Account {
    fn new(index: usize) -> Self {
        let did = format!("did:plc:{}", ["a", "b", "c"][index].repeat(24));
        let (told, touched) = (Vec::new(), Vec::new());
        Self { did: did.parse().unwrap(), told, kept: 0, mark: 0, has: [false; 3], touched }
    }

    fn write(&mut self, touches: usize) {
        let seq = self.told.last().map_or(1_000, |event| event.seq) + 1 + i64::try_from(touches).unwrap();
        let bytes = Bytes::from(format!("{} {seq} ", self.did));
        self.told.push(Delivered { seq, frame: Unsequenced { gap: bytes.len(), bytes } });
        self.has[touches] = !self.has[touches];
        self.touched.push(touches);
    }

    fn listed(&self) -> Listed {
        let count = u64::try_from(self.told.len()).unwrap();
        Listed {
            did: self.did.clone(),
            status: if count.is_multiple_of(5) { Status::Suspended } else { Status::Active },
            commit: Cid::dag_cbor(&count.to_le_bytes()),
            rev: Tid::new(1_750_000_000_000_000 + count, 0),
        }
    }

    fn delivery(&self, most: usize) -> Option<Delivery> {
        let first = self.told.partition_point(|event| event.seq <= self.mark).max(self.kept);
        let events: Vec<_> = self.told[first..].iter().take(most).cloned().collect();
        let touched = &self.touched[first..first + events.len()];
        let state = |index: usize| (COLLECTIONS[index].parse().unwrap(), self.has[index]);
        let collections = (0..3).filter(|index| touched.contains(index)).map(state).collect();
        (!events.is_empty()).then(|| Delivery { account: self.listed(), collections, events })
    }

    fn answered(&mut self, known: i64) {
        self.mark = self.mark.max(known);
        // The newest stays.
        let gone = self.told.partition_point(|event| event.seq <= self.mark);
        self.kept = self.kept.max(gone.min(self.told.len() - 1));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        account: usize,
        touches: usize,
    },
    Deliver {
        account: usize,
        most: usize,
        comes: bool,
        answered: bool,
    },
    /// A delivery from before, which was under way all the time.
    Late(prop::sample::Index),
    AccountRestarts(usize),
    LogRestarts,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (account, touches) = (0..ACCOUNTS, 0..COLLECTIONS.len());
    let deliver = (account.clone(), 1..4_usize, any::<bool>(), any::<bool>())
        .prop_map(|(account, most, comes, answered)| Step::Deliver { account, most, comes, answered });
    let step = prop_oneof![
        4 => (account.clone(), touches).prop_map(|(account, touches)| Step::Write { account, touches }),
        4 => deliver,
        2 => any::<prop::sample::Index>().prop_map(Step::Late),
        1 => account.prop_map(Step::AccountRestarts),
        1 => Just(Step::LogRestarts),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_deliveries_come_each_event_is_there_once_and_in_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps))?;
    }

    #[test]
    fn what_is_read_is_written_as_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        if let Ok(delivery) = Delivery::decode(&bytes) {
            prop_assert_eq!(&delivery.encode(), &bytes);
        }
        let mut good = example().encode();
        let at = at.index(good.len());
        good[at] ^= bytes.first().copied().unwrap_or(1);
        if let Ok(delivery) = Delivery::decode(&good) {
            prop_assert_eq!(delivery.encode(), good);
        }
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&dir);
    let mut log = open(&engine).await;
    let mut accounts: Vec<Account> = (0..ACCOUNTS).map(Account::new).collect();
    let mut under_way = Vec::new();
    for step in steps {
        match step {
            Step::Write { account, touches } => accounts[account].write(touches),
            Step::Deliver { account, most, comes, answered } => {
                let Some(delivery) = accounts[account].delivery(most) else { continue };
                under_way.push(delivery.clone());
                if comes {
                    let known = log.accept(delivery).await.unwrap();
                    if answered {
                        accounts[account].answered(known);
                    }
                }
            }
            Step::Late(index) if !under_way.is_empty() => {
                log.accept(index.get(&under_way).clone()).await.unwrap();
            }
            Step::Late(_) => {}
            Step::AccountRestarts(account) => accounts[account].mark = 0,
            Step::LogRestarts => log = open(&engine).await,
        }
        check(&log, &accounts, false).await?;
    }
    for account in &mut accounts {
        while let Some(delivery) = account.delivery(2) {
            let known = log.accept(Delivery::decode(&delivery.encode()).unwrap()).await.unwrap();
            account.answered(known);
        }
    }
    check(&log, &accounts, true).await
}

/// What is in the log is what the accounts told first, in order; and in the end all of it, and how they are.
async fn check(log: &SharedLog, accounts: &[Account], all: bool) -> Result<(), TestCaseError> {
    let frames = frames(log).await;
    prop_assert!(frames.windows(2).all(|two| two[0].position.seq < two[1].position.seq));
    for account in accounts {
        let of_account = |frame: &&Frame| frame.bytes.starts_with(account.did.as_str().as_bytes());
        let there: Vec<&Frame> = frames.iter().filter(of_account).collect();
        prop_assert!(there.len() <= account.told.len() && (!all || there.len() == account.told.len()));
        for (frame, event) in there.into_iter().zip(&account.told) {
            let seq = u64::try_from(frame.position.seq).unwrap();
            prop_assert_eq!(Some(frame.bytes.clone()), event.frame.frame(seq));
        }
    }
    if !all {
        return Ok(());
    }
    let told = || accounts.iter().filter(|account| !account.told.is_empty());
    let mut listed = log.list(0, 100).await.unwrap().entries;
    listed.sort_by(|left, right| left.did.cmp(&right.did));
    let mut expected: Vec<Listed> = told().map(Account::listed).collect();
    expected.sort_by(|left, right| left.did.cmp(&right.did));
    prop_assert_eq!(listed, expected);
    let active = |account: &&Account| account.listed().status == Status::Active;
    prop_assert_eq!(log.count_active().await.unwrap(), told().filter(active).count() as u64);
    for (index, collection) in COLLECTIONS.into_iter().enumerate() {
        let mut with = log.list_by_collection(collection.parse().unwrap(), 0, 100).await.unwrap().entries;
        with.sort();
        let has = told().filter(active).filter(|account| account.has[index]);
        let mut expected: Vec<Did> = has.map(|account| account.did.clone()).collect();
        expected.sort();
        prop_assert_eq!(with, expected);
    }
    Ok(())
}

fn example() -> Delivery {
    let mut account = Account::new(0);
    account.write(0);
    account.write(2);
    account.delivery(2).unwrap()
}

#[test]
fn what_is_no_delivery_is_refused() {
    let good = example();
    assert_eq!(Delivery::decode(&good.encode()).unwrap(), good);
    let with = |change: fn(&mut Delivery)| {
        let mut bad = good.clone();
        change(&mut bad);
        Delivery::decode(&bad.encode()).unwrap_err()
    };
    assert!(matches!(with(|bad| bad.events.clear()), DeliveryError::Empty));
    assert!(matches!(with(|bad| bad.events.swap(0, 1)), DeliveryError::Event(_)));
    assert!(matches!(with(|bad| bad.events[0].seq = 0), DeliveryError::Event(0)));
    assert!(matches!(with(|bad| bad.events[1].seq = 1 << 53), DeliveryError::Event(_)));
    assert!(matches!(with(|bad| bad.events[0].frame.gap += 1), DeliveryError::Event(_)));
    assert!(matches!(with(|bad| bad.collections.swap(0, 1)), DeliveryError::Cbor(_)));
    let long = vec![0; 17 << 20];
    assert!(matches!(Delivery::decode(&long), Err(DeliveryError::TooLong(_))));
    for cut in 0..good.encode().len() {
        assert!(Delivery::decode(&good.encode()[..cut]).is_err(), "cut at {cut}");
    }
    let more = [good.encode(), vec![0]].concat();
    assert!(matches!(Delivery::decode(&more), Err(DeliveryError::Cbor(_))));
}

/// Header and body, with one number for another.
fn numbered(frame: &Frame, seq: i64) -> Vec<u8> {
    let header = cbor::Reader::new(&frame.bytes).skip(4).unwrap();
    let mut body = cbor::decode(&frame.bytes[header.len()..]).unwrap();
    body.as_map_mut().unwrap().insert("seq", seq);
    [header, &cbor::encode(&body)].concat()
}

#[tokio::test]
async fn what_a_server_delivers_makes_the_same_log_and_the_same_lists() {
    let host = Host::start(FOREVER).await;
    let dir = tempfile::tempdir().unwrap();
    let log = open(&engine(&dir)).await;
    let (one, other) = (TestAgent::enroll(&host.target).await, TestAgent::enroll(&host.target).await);
    let mut mark = 0;
    let deliver = async |mark: &mut i64, most: usize| {
        while let Some(delivery) = host.app.undelivered(*mark, most).await.unwrap() {
            let upto = delivery.events.last().unwrap().seq;
            let again = delivery.clone();
            assert_eq!(log.accept(Delivery::decode(&delivery.encode()).unwrap()).await.unwrap(), upto);
            assert_eq!(log.accept(again).await.unwrap(), upto);
            *mark = upto;
        }
    };
    deliver(&mut mark, 1).await;
    for agent in [&one, &other] {
        for collection in COLLECTIONS {
            agent.put(collection, "self", json!({})).await;
            agent.put(collection, "self", json!({"again": true})).await;
        }
        agent.delete(COLLECTIONS[0], "self").await;
    }
    deliver(&mut mark, 3_000).await;
    other.delete(COLLECTIONS[1], "self").await;
    host.app.set_status(&one.did.parse().unwrap(), Status::Deactivated).await.unwrap();
    deliver(&mut mark, usize::MAX).await;
    assert!(host.app.undelivered(mark, usize::MAX).await.unwrap().is_none());

    let (here, there) = (host.app.log.events(0, 1 << 30).await.unwrap().frames, frames(&log).await);
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(numbered(here, 1), numbered(there, 1));
    }
    let directory = &host.app.ports.directory;
    assert_eq!(log.list(0, 10).await.unwrap(), directory.list(0, 10).await.unwrap());
    for collection in COLLECTIONS.map(|collection| collection.parse().unwrap()) {
        let expected = directory.list_by_collection(&collection, 0, 10).await.unwrap();
        assert_eq!(log.list_by_collection(collection, 0, 10).await.unwrap(), expected);
    }

    host.app.delivered(mark).await.unwrap();
    let left = host.app.undelivered(0, usize::MAX).await.unwrap().expect("the newest is kept");
    assert_eq!((left.events.len(), left.events[0].seq), (1, mark));
    one.target.query("com.atproto.server.describeServer", &[]).await.ok();
    other.put(COLLECTIONS[0], "self", json!({})).await;
    let next = host.app.undelivered(mark, usize::MAX).await.unwrap().expect("it goes on");
    assert!(next.events[0].seq > mark);
}

#[tokio::test]
async fn a_server_over_the_shared_log_tells_it_and_counts_who_delivers_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&dir);
    let log = Arc::new(open(&engine).await);
    let ports = nothing::ports(engine, dir.path());
    let app = App::without_accounts(nothing::config(), ports, &[7; 32]).unwrap();
    let mut accounts = AccountWatch::of_shared(Arc::clone(&app), Arc::clone(&log));
    log.accept(example()).await.unwrap();
    accounts.tick().await.unwrap();

    assert_eq!(app.log.events(0, 1 << 20).await.unwrap().frames, frames(&log).await);
    let request = Request::get("/xrpc/_health").body(Body::empty()).unwrap();
    let answer = router(app, Router::new()).oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let health: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(health["accounts"]["active"], 1, "{health}");
}
