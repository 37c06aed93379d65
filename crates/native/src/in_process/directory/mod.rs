//! Enrollments where the directory of accounts is elsewhere: it, the store and the process fail at every step, and what is left
//! is one account for a key and one for a handle.

mod elsewhere;

use crate::blobs::Files;
use crate::clock::SystemClock;
use crate::config::Given;
use crate::entropy::SystemEntropy;
use crate::net::SystemNet;
use crate::sqlite::{Bounds, SqliteEngine};
use crate::terms;
use crate::verify::AwsLcVerify;
use axum::Router;
use axum::body::Body;
use elsewhere::{Elsewhere, Fault, Script, ScriptedEngine};
use futures_util::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use rookery_atproto::syntax::Handle;
use rookery_auth::jwk::Thumbprint;
use rookery_pds::app::{App, Ports};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::http::router;
use rookery_pds::ports::{Clock, Directory, Entry};
use rookery_testkit::agent::signup_body;
use rookery_testkit::forge::Jwt;
use rookery_testkit::keys::{TestKey, unique};
use rookery_testkit::{Target, target};
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tower::ServiceExt;

const PORT: u16 = 2583;
/// After which what is claimed and not settled is free again.
const EXPIRED: i64 = 121 * 1_000_000;

/// Steps of an enrollment in which all goes well.
const RESERVE: usize = 0;
const CLAIM: usize = 1;
const REGISTER: usize = 2;
const FINISH: usize = 3;
const SETTLE: usize = 4;

/// The machine's clock, so much later.
struct Later(AtomicI64);

impl Clock for Later {
    fn now_micros(&self) -> i64 {
        SystemClock.now_micros() + self.0.load(Ordering::Relaxed)
    }
}

/// A host that is started again and again over the same store and beside the same directory.
struct World {
    directory: Arc<Elsewhere>,
    script: Arc<Script>,
    clock: Arc<Later>,
    engine: Arc<SqliteEngine>,
    running: Mutex<(Arc<App>, Router)>,
    dir: TempDir,
}

/// What became of a request.
#[derive(Debug)]
enum Outcome {
    Answered(u16, Value),
    /// The process ended before it was answered.
    Ended,
}

impl Outcome {
    #[track_caller]
    fn did(&self) -> String {
        match self {
            Self::Answered(200, body) => target::text(body, "did"),
            other => panic!("not enrolled: {other:?}"),
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(status, _) => Some(*status),
            Self::Ended => None,
        }
    }
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(SqliteEngine::open(&dir.path().join("test.db"), Bounds::default()).unwrap());
        let (script, clock) = (Arc::new(Script::default()), Arc::new(Later(AtomicI64::new(0))));
        let lists = StoreDirectory::new(engine.clone());
        let directory = Arc::new(Elsewhere::new(Arc::clone(&script), clock.clone(), lists));
        let running = Mutex::new(open(&engine, &directory, &script, &clock, &dir).await);
        Self { directory, script, clock, engine, running, dir }
    }

    async fn restart(&self) {
        self.script.calm();
        let again = open(&self.engine, &self.directory, &self.script, &self.clock, &self.dir).await;
        *self.running.lock().unwrap() = again;
    }

    fn app(&self) -> Arc<App> {
        Arc::clone(&self.running.lock().unwrap().0)
    }

    /// Asks for the handle.
    async fn enroll(&self, key: &TestKey, handle: &str) -> Outcome {
        let origin = format!("http://localhost:{PORT}");
        let terms = self.app().ports.terms.current().unwrap();
        let mut body = signup_body(&Target::new(&origin), key, terms.text.as_bytes(), handle);
        let now = self.clock.now_micros() / 1_000_000;
        let token = Jwt::token(key, terms.text.as_bytes(), &origin).claim("iat", now);
        body["access_token"] = token.sign(key).into();
        // Ahead of the second of a start.
        let proof = Jwt::proof(key, "POST", &format!("{origin}/api/signup"), None).claim("iat", now + 2);
        let request = Request::post("/api/signup")
            .header("dpop", proof.sign(key))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        let router = self.running.lock().unwrap().1.clone();
        tokio::select! {
            answer = router.oneshot(request.unwrap()) => {
                let (parts, body) = answer.unwrap().into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                Outcome::Answered(parts.status.as_u16(), serde_json::from_slice(&body).unwrap())
            }
            () = self.script.ended() => Outcome::Ended,
        }
    }

    fn rows(&self, query: &str) -> i64 {
        let database = Connection::open(self.dir.path().join("test.db")).unwrap();
        database.query_row(&format!("SELECT count(*) FROM {query}"), [], |row| row.get(0)).unwrap()
    }

    /// The DID that the store has reserved with a handle.
    fn reserved(&self, handle: &str) -> Option<String> {
        let database = Connection::open(self.dir.path().join("test.db")).unwrap();
        let query = "SELECT did FROM pending_signup WHERE handle = ?1";
        database.query_row(query, [format!("{handle}.test")], |row| row.get(0)).optional().unwrap()
    }

    /// The key has this account and the handle, in the store and in the directory, and nothing else is held for either.
    async fn expect_account(&self, key: &TestKey, handle: &str, did: &str) {
        assert_eq!(self.rows(&format!("account WHERE handle = '{handle}.test' AND did = '{did}'")), 1);
        assert_eq!(self.rows("pending_signup"), 0);
        self.directory.expect_settled(&thumbprint(key), &full(handle), did);
        let holder = self.directory.resolve(&full(handle)).await.unwrap().expect("a holder");
        assert_eq!(holder.did.as_str(), did);
        let taken = self.enroll(&TestKey::ed25519(), handle).await;
        assert_eq!(taken.status(), Some(409), "{taken:?}");
        assert_eq!((self.rows("pending_signup"), self.directory.unsettled()), (0, 0));
    }
}

async fn open(
    engine: &Arc<SqliteEngine>,
    directory: &Arc<Elsewhere>,
    script: &Arc<Script>,
    clock: &Arc<Later>,
    dir: &TempDir,
) -> (Arc<App>, Router) {
    let ports = Ports {
        engine: Arc::new(ScriptedEngine(Arc::clone(engine), Arc::clone(script))),
        directory: directory.clone(),
        blobs: Arc::new(Files::open(&dir.path().join("blobs")).unwrap()),
        net: Arc::new(SystemNet::default()),
        verify: Arc::new(AwsLcVerify::new()),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
        terms: terms::source(None),
    };
    let config = Given::default().settle(None).unwrap().core(PORT).unwrap();
    let app = App::open(config, ports, &[7; 32]).await.unwrap();
    (Arc::clone(&app), router(app, Router::new()))
}

fn thumbprint(key: &TestKey) -> Thumbprint {
    key.thumbprint().parse().unwrap()
}

fn full(handle: &str) -> Handle {
    Handle::parse(&format!("{handle}.test")).unwrap()
}

/// Every way in which an enrollment goes wrong once or twice, and its first request.
async fn in_every_way(world: &World, mut then: impl AsyncFnMut(&World, TestKey, String, Outcome)) -> usize {
    let mut ways = 0;
    for first in [Fault::Refused, Fault::Unanswered, Fault::EndsBefore, Fault::EndsAfter] {
        for second in [None, Some(Fault::Refused), Some(Fault::EndsBefore), Some(Fault::EndsAfter)] {
            // Until there are no more steps that it could happen at.
            for at in 0.. {
                let (key, handle) = (TestKey::ed25519(), unique());
                world.script.fail_at(at, first, second);
                let outcome = world.enroll(&key, &handle).await;
                let happened = world.script.happened();
                if matches!(outcome, Outcome::Ended) {
                    world.restart().await;
                }
                world.script.calm();
                if !happened {
                    outcome.did();
                    break;
                }
                ways += 1;
                then(world, key, handle, outcome).await;
            }
        }
    }
    ways
}

#[tokio::test]
async fn whatever_the_first_request_ended_in_the_next_one_of_the_key_enrolls_it() {
    let world = World::start().await;
    let ways = in_every_way(&world, async |world, key, handle, outcome| {
        let reserved = world.reserved(&handle);
        let again = world.enroll(&key, &handle).await;
        let did = again.did();
        if let (Outcome::Ended, Some(reserved)) = (&outcome, reserved) {
            assert_eq!(did, reserved, "it goes on with the same DID");
        }
        if let Outcome::Answered(200, body) = &outcome {
            assert_eq!(target::text(body, "did"), did);
        }
        world.expect_account(&key, &handle, &did).await;
        assert_eq!(world.enroll(&key, &handle).await.did(), did, "it consents again");
    })
    .await;
    assert!(ways > 60, "{ways} ways");
}

#[tokio::test]
async fn what_was_not_finished_is_free_again_and_what_was_is_settled_without_the_agent() {
    let world = World::start().await;
    let (mut made, mut free) = (0, 0);
    in_every_way(&world, async |world, key, handle, _| {
        world.app().settle_accounts().await.unwrap();
        world.clock.0.fetch_add(EXPIRED, Ordering::Relaxed);
        let other = TestKey::ed25519();
        let next = world.enroll(&other, &handle).await;
        if world.rows(&format!("account WHERE handle = '{handle}.test' AND did <> '{}'", did_or_none(&next)))
            == 1
        {
            made += 1;
            assert_eq!(next.status(), Some(409));
            let did = world.directory.settled(&thumbprint(&key)).expect("settled");
            world.expect_account(&key, &handle, &did).await;
        } else {
            free += 1;
            world.expect_account(&other, &handle, &next.did()).await;
        }
    })
    .await;
    assert!(made > 5 && free > 20, "{made} were made, {free} not");
}

fn did_or_none(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(200, body) => target::text(body, "did"),
        _ => String::new(),
    }
}

#[tokio::test]
async fn a_failure_before_the_account_is_made_leaves_nothing_behind() {
    let world = World::start().await;
    for step in [RESERVE, CLAIM, REGISTER] {
        for fault in [Fault::Refused, Fault::Unanswered] {
            let (key, handle) = (TestKey::ed25519(), unique());
            world.script.fail_at(step, fault, None);
            let outcome = world.enroll(&key, &handle).await;
            assert!(world.script.happened() && outcome.status() >= Some(500), "{outcome:?}");
            assert_eq!(world.directory.reserved(&thumbprint(&key)), None);
            assert_eq!((world.rows("account"), world.rows("pending_signup")), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_handle_that_another_object_holds_is_refused_and_nothing_is_kept_for_it() {
    let world = World::start().await;
    let (key, handle) = (TestKey::ed25519(), unique());
    let entry = Entry {
        thumbprint: thumbprint(&TestKey::ed25519()),
        did: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
        handle: full(&handle),
    };
    world.directory.claim(&entry, world.clock.now_micros() + EXPIRED).await.unwrap();
    let claimed = world.enroll(&key, &handle).await;
    assert!(world.directory.settle(&entry).await.unwrap());
    let settled = world.enroll(&key, &handle).await;
    for outcome in [claimed, settled] {
        let Outcome::Answered(409, body) = outcome else { panic!("{outcome:?}") };
        assert_eq!(body["error"], "HandleTaken");
    }
    assert_eq!((world.rows("account"), world.rows("pending_signup"), world.directory.unsettled()), (0, 0, 0));
    let did = world.enroll(&key, "another-one").await.did();
    world.expect_account(&key, "another-one", &did).await;
}

#[tokio::test]
async fn an_account_whose_claim_ran_out_before_it_was_settled_loses_its_handle_to_who_has_it_now() {
    let world = World::start().await;
    for told_by_the_agent in [true, false] {
        let (key, handle) = (TestKey::ed25519(), unique());
        world.script.fail_at(SETTLE, Fault::EndsBefore, None);
        assert!(matches!(world.enroll(&key, &handle).await, Outcome::Ended));
        world.restart().await;
        assert_eq!(world.rows(&format!("account WHERE handle = '{handle}.test'")), 1);
        world.clock.0.fetch_add(EXPIRED, Ordering::Relaxed);
        let entry = Entry {
            thumbprint: thumbprint(&TestKey::ed25519()),
            did: "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb".parse().unwrap(),
            handle: full(&handle),
        };
        world.directory.settle(&entry).await.unwrap();

        let before = world.rows("event");
        if told_by_the_agent {
            let Outcome::Answered(200, body) = world.enroll(&key, &handle).await else {
                panic!("not enrolled")
            };
            assert!(body["handle"].is_null(), "{body}");
        } else {
            world.app().settle_accounts().await.unwrap();
        }
        assert_eq!(world.rows("event"), before + 1, "it is told that the account has no handle");
        assert_eq!((world.rows("account WHERE handle IS NOT NULL"), world.rows("pending_signup")), (0, 0));
        assert_eq!(world.directory.resolve(&full(&handle)).await.unwrap().unwrap().did, entry.did);
        world.app().settle_accounts().await.unwrap();
        assert_eq!(world.rows("event"), before + 1);
    }
}

#[tokio::test]
async fn requests_of_one_key_at_once_of_which_some_fail_make_one_account() {
    let world = World::start().await;
    for round in 0..60 {
        let (key, handle) = (TestKey::ed25519(), unique());
        world.script.fail_at(
            round % 20,
            if round % 2 == 0 { Fault::Refused } else { Fault::Unanswered },
            None,
        );
        let outcomes = join_all((0..3).map(|_| world.enroll(&key, &handle))).await;
        world.script.calm();
        let answered: BTreeSet<String> =
            outcomes.iter().filter(|outcome| outcome.status() == Some(200)).map(Outcome::did).collect();
        let did = world.enroll(&key, &handle).await.did();
        assert!(answered.iter().all(|other| *other == did), "{answered:?} and {did}");
        world.expect_account(&key, &handle, &did).await;
    }
}

#[tokio::test]
async fn a_request_does_not_finish_what_another_one_of_the_key_has_given_back() {
    let world = World::start().await;
    let (key, handle) = (TestKey::ed25519(), unique());
    world.script.fail_at(FINISH, Fault::Waits, None);
    let fails = async {
        world.script.waiting().await;
        world.script.fail_at(REGISTER, Fault::Refused, None);
        let failed = world.enroll(&key, &handle).await;
        assert!(failed.status() >= Some(500), "{failed:?}");
        assert_eq!(world.directory.reserved(&thumbprint(&key)), None);
        world.script.go_on();
    };
    let (outcome, ()) = tokio::join!(world.enroll(&key, &handle), fails);
    let Outcome::Answered(503, body) = outcome else { panic!("{outcome:?}") };
    assert_eq!(body["error"], "Interrupted");
    assert_eq!(world.rows("account"), 0);
    let did = world.enroll(&key, &handle).await.did();
    world.expect_account(&key, &handle, &did).await;
}

#[tokio::test]
async fn a_request_that_fails_does_not_give_back_what_another_one_of_the_key_has_finished() {
    let world = World::start().await;
    let (key, handle) = (TestKey::ed25519(), unique());
    world.script.fail_at(REGISTER, Fault::WaitsInVain, None);
    let finishes = async {
        world.script.waiting().await;
        world.script.fail_at(SETTLE, Fault::Refused, None);
        let unsettled = world.enroll(&key, &handle).await;
        assert_eq!(unsettled.status(), Some(503), "{unsettled:?}");
        assert_eq!(world.rows("account"), 1);
        world.script.go_on();
    };
    let (outcome, ()) = tokio::join!(world.enroll(&key, &handle), finishes);
    assert!(outcome.status() >= Some(500), "{outcome:?}");
    assert_eq!(world.directory.unsettled(), 1);
    world.app().settle_accounts().await.unwrap();
    let did = world.directory.settled(&thumbprint(&key)).expect("settled");
    world.expect_account(&key, &handle, &did).await;
}
