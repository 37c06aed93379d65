//! One run: a machine that goes down and comes back, those who ask it for things, and a schedule that decides who is next.

use crate::agent::{Agent, Message, ORIGIN};
use crate::model::{History, Records};
use crate::outside::{Bucket, DIRECTORY, Fixed, Others, START, Time, Trusting};
use crate::random::Random;
use crate::requests::{Answer, Asked};
use crate::store::{Disk, Group, Store};
use axum::Router;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::Did;
use rookery_auth::origin::Origins;
use rookery_pds::app::{App, Ports};
use rookery_pds::config::{
    BlobRules, Config, PlcChoice, ProofMemory, RateLimits, Relays, Retention, RotationKey,
};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::http::router;
use rookery_pds::ports::Clock;
use rookery_testkit::{firehose::Begin, firehose::Checker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Steps of one run.
const STEPS: usize = 1_500;
/// Requests on their way at a time.
const IN_FLIGHT: usize = 12;
/// Steps after which everybody must have an answer when nothing goes wrong.
const PATIENCE: usize = 20_000;
/// How long blobs are kept that nothing refers to.
pub(crate) const GRACE: Duration = Duration::from_secs(600);
/// Events that are kept.
const EVENTS: u64 = 60;

/// A request on its way.
struct Task {
    request: usize,
    future: BoxFuture<'static, Answer>,
    ready: Arc<Ready>,
}

/// Whether a task has something to do.
struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    UnderWay,
    Answered,
    /// Nobody waits for its answer: it may be done yet.
    GivenUp,
    /// Given up, and it can have no effect any more.
    Closed,
}

/// A request as its sender knows it.
pub(crate) struct Sent {
    pub(crate) agent: usize,
    pub(crate) asked: Asked,
    pub(crate) message: Option<Message>,
    /// When, by the machine's clock.
    pub(crate) at: i64,
    /// States that there were of the agent's repo when it was sent.
    pub(crate) since: usize,
    pub(crate) stage: Stage,
}

/// What happened, for whoever has to find out why.
pub(crate) type Trace = Arc<Mutex<VecDeque<String>>>;

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) time: Arc<Time>,
    pub(crate) others: Arc<Others>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) store: Arc<Store>,
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
    tasks: Vec<Task>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) checker: Checker,
    /// The whole event log, also what was forgotten.
    pub(crate) log: Vec<(i64, Bytes)>,
    pub(crate) repos: BTreeMap<String, History>,
    /// How often each handle was told of each account.
    pub(crate) handles: BTreeMap<(String, String), usize>,
    pub(crate) embedded: bool,
    pub(crate) turns: bool,
    trace: Trace,
    /// How many requests were answered how.
    pub(crate) answers: BTreeMap<&'static str, BTreeMap<u16, usize>>,
    pub(crate) restarts: usize,
}

impl World {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let random = Random::new(seed);
        let (time, others, disk) = (Arc::new(Time::default()), Others::new(random.clone()), Disk::new());
        time.set(START);
        let (embedded, turns) = (random.once_in(2), !random.once_in(4));
        let store = Store::new(Arc::clone(&disk), random.clone(), turns);
        let terms = Fixed::new();
        let count = 2 + random.below(4);
        let agents = (0..count).map(|_| Agent::new(&random, terms.text())).collect();
        let proofs = if seed.is_multiple_of(2) { ProofMemory::Process } else { ProofMemory::Store };
        let app = open(&store, &random, &time, &others, (embedded, proofs));
        let router = router(Arc::clone(&app), Router::new());
        let (sent, tasks, log, repos, handles) = Default::default();
        let checker = Checker::new(Begin::Genesis);
        Self {
            random,
            time,
            others,
            disk,
            store,
            app,
            router,
            tasks,
            agents,
            sent,
            checker,
            log,
            repos,
            handles,
            embedded,
            turns,
            trace,
            answers: BTreeMap::new(),
            restarts: 0,
        }
    }

    /// The whole run.
    pub(crate) fn run(&mut self) {
        self.calm(false);
        for _ in 0..STEPS {
            self.step();
            if self.random.once_in(500) {
                self.settle();
                self.calm(false);
            }
        }
        self.settle();
        self.service_resumes();
        self.settle();
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        let mut trace = self.trace.lock().unwrap();
        if trace.len() == 400 {
            trace.pop_front();
        }
        trace.push_back(what());
    }

    fn calm(&self, calm: bool) {
        self.store.set_calm(calm);
        self.others.set_calm(calm);
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..55 => self.poll(),
            55..75 if self.store.queued() > 0 => self.group(),
            75..92 if self.tasks.len() < IN_FLIGHT => self.send(),
            92..98 => self.tick(),
            98 if self.random.once_in(2) => self.give_up(),
            99 if self.random.once_in(8) => self.restart(),
            _ => self.poll(),
        }
    }

    /// Lets one task go on.
    fn poll(&mut self) {
        let ready: Vec<usize> =
            (0..self.tasks.len()).filter(|at| self.tasks[*at].ready.0.load(Ordering::Relaxed)).collect();
        if ready.is_empty() {
            return;
        }
        let at = *self.random.pick(&ready);
        let task = &mut self.tasks[at];
        task.ready.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.ready));
        if let Poll::Ready(answer) = task.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            let request = self.tasks.swap_remove(at).request;
            self.note(|| format!("{request} is answered {answer:.120?}"));
            self.sent[request].stage = Stage::Answered;
            self.answered(request, answer);
        }
    }

    fn group(&mut self) {
        let group = self.store.group();
        self.note(|| format!("a group: {group:?}"));
        match group {
            Group::Committed => self.observe(),
            Group::Failed => {}
            Group::LostBefore | Group::LostAfter => self.restart(),
        }
    }

    /// The clock moves on, stands still, or is set.
    fn tick(&mut self) {
        let now = self.time.now_micros();
        let by = match self.random.below(100) {
            0..80 => self.random.amount(300_000),
            80..92 => self.random.amount(30_000_000),
            92..98 => -self.random.amount(60_000_000),
            98 => 600_000_000 + self.random.amount(600_000_000),
            _ => 0,
        };
        self.time.set(now + by);
        self.note(|| format!("the clock moves by {by}"));
    }

    fn send(&mut self) {
        let agent = self.random.below(self.agents.len());
        let (asked, message, future) = self.ask(agent);
        let since = self.repo_of(agent).map_or(0, History::len);
        let request = self.sent.len();
        self.note(|| format!("{request}: agent {agent} asks for {asked:?}"));
        let at = self.time.now_micros();
        self.sent.push(Sent { agent, asked, message, at, since, stage: Stage::UnderWay });
        self.tasks.push(Task { request, future, ready: Arc::new(Ready(AtomicBool::new(true))) });
    }

    /// Somebody does not wait any longer.
    fn give_up(&mut self) {
        if self.tasks.is_empty() {
            return;
        }
        let task = self.tasks.swap_remove(self.random.below(self.tasks.len()));
        self.note(|| format!("{} is given up", task.request));
        self.sent[task.request].stage = Stage::GivenUp;
    }

    /// The machine goes down with all that it had in memory, and comes back.
    fn restart(&mut self) {
        self.note(|| "the machine restarts".to_owned());
        for task in self.tasks.drain(..) {
            self.sent[task.request].stage = Stage::GivenUp;
        }
        self.store = Store::new(Arc::clone(&self.disk), self.random.clone(), self.turns);
        let choices = (self.embedded, self.app.config.proofs);
        self.app = open(&self.store, &self.random, &self.time, &self.others, choices);
        self.router = router(Arc::clone(&self.app), Router::new());
        self.restarts += 1;
        if self.random.once_in(2) {
            // Proofs of the second in which it starts are refused: mostly it is over before anybody comes.
            self.time.set(self.time.now_micros() + 1_000_000);
        }
        self.observe();
        self.close();
        self.audit();
        self.calm(false);
    }

    /// Nothing goes wrong any more, and everybody gets an answer. Then all that is there is looked at.
    fn settle(&mut self) {
        self.note(|| "all calms down".to_owned());
        self.calm(true);
        for step in 0.. {
            if self.tasks.is_empty() && self.store.queued() == 0 {
                break;
            }
            assert!(step < PATIENCE, "{} requests get no answer", self.tasks.len());
            if self.store.queued() > 0 && self.random.once_in(3) { self.group() } else { self.poll() }
        }
        self.close();
        self.audit();
    }

    /// What was given up has no effect from here on; what has had one is known.
    fn close(&mut self) {
        for (did, history) in &mut self.repos {
            let open = |sent: &&Sent| sent.stage == Stage::GivenUp;
            let given_up = self.sent.iter().enumerate().filter(|(_, sent)| open(sent));
            history.settle(given_up.filter_map(|(request, sent)| match &sent.asked {
                Asked::Write(of, batch) if of == did => Some((request, sent.since, batch)),
                _ => None,
            }));
        }
        for sent in self.sent.iter_mut().filter(|sent| sent.stage == Stage::GivenUp) {
            sent.stage = Stage::Closed;
        }
    }

    /// Runs something to its end while all is calm.
    pub(crate) fn now<T>(&self, future: impl Future<Output = T>) -> T {
        let calm = self.store.is_calm();
        self.calm(true);
        let value = complete(&self.store, future);
        self.calm(calm);
        value
    }

    pub(crate) fn repo_of(&self, agent: usize) -> Option<&History> {
        self.repos.get(self.agents[agent].did.as_ref()?)
    }

    pub(crate) fn records_of(&self, agent: usize) -> Records {
        self.repo_of(agent).map(|history| history.last().records.clone()).unwrap_or_default()
    }
}

/// Polls until it is done, and commits what is queued where it goes on no other way.
fn complete<T>(store: &Store, future: impl Future<Output = T>) -> T {
    let ready = Arc::new(Ready(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&ready));
    let mut future = Box::pin(future);
    loop {
        if ready.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
        } else {
            assert!(store.queued() > 0, "it waits for nothing");
            store.group();
        }
    }
}

/// A process that starts on what is on the disk.
fn open(
    store: &Arc<Store>,
    random: &Random,
    time: &Arc<Time>,
    others: &Arc<Others>,
    (embedded, proofs): (bool, ProofMemory),
) -> Arc<App> {
    let did = Did::parse("did:web:localhost%3A2583").unwrap();
    let config = Config {
        origins: Origins::new(&[ORIGIN]).unwrap(),
        public_url: ORIGIN.to_owned(),
        service_did: did,
        handle_domain: HandleDomain::new(".test").unwrap(),
        plc: if embedded { PlcChoice::Embedded } else { PlcChoice::Url(DIRECTORY.to_owned()) },
        rotation_key: RotationKey::Stored,
        retention: Retention { age: Duration::from_secs(3_600), events: EVENTS },
        relays: Relays { origins: Vec::new(), account_cap: 100 },
        blobs: BlobRules { limit: 100_000, grace: GRACE },
        proofs,
        rates: RateLimits::default(),
        local: true,
    };
    let ports = Ports {
        engine: Arc::clone(store) as _,
        directory: Arc::new(StoreDirectory::new(Arc::clone(store) as _)),
        blobs: Arc::new(Bucket(Arc::clone(others))),
        net: Arc::clone(others) as _,
        verify: Arc::new(Trusting),
        clock: Arc::clone(time) as _,
        entropy: Arc::new(random.clone()),
        terms: Arc::new(Fixed::new()),
    };
    complete(store, App::open(config, ports, &[7; 32])).expect("the machine starts")
}
