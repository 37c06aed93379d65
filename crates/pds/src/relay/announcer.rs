//! Speaks with one relay.

use super::Elapsed;
use super::exchange::{self, HostStatus};
use super::report::RelayReport;
use super::schedule::{Outcome, Schedule, Situation, Step};
use crate::app::App;
use crate::error::{Result, internal};
use crate::sequencer::emit::datetime;
use crate::store;
use serde::{Deserialize, Serialize};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

/// What there is to do with one relay, and what is known of it.
pub struct Announcer {
    app: Arc<App>,
    /// Which of the configured relays it is.
    index: usize,
    origin: String,
    /// This server, as the relay is told of it.
    hostname: String,
    state: State,
    /// True when the store keeps the state.
    is_kept: bool,
}

/// What has come about so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    elapsed: Elapsed,
    schedule: Schedule,
    /// Since when nobody has read the firehose.
    quiet_since: Option<Duration>,
    /// When it last accepted a request, in microseconds.
    crawl_at: Option<i64>,
    known: Known,
    /// What is wrong with asking for a crawl, and with reading the status.
    crawl_problem: Option<String>,
    status_problem: Option<String>,
}

/// What the relay said of this server when it was last asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum Known {
    /// Nothing yet.
    #[default]
    Unasked,
    /// It does not know this server.
    NotFound,
    /// This.
    Host(HostStatus),
}

impl Announcer {
    /// One for each relay of the configuration; none of them has asked yet.
    pub fn all(app: &Arc<App>) -> Vec<Self> {
        let url = app.config.public_url.as_str();
        let hostname = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
        let announcer = |(index, origin): (usize, &String)| Self {
            app: Arc::clone(app),
            index,
            origin: origin.clone(),
            hostname: hostname.to_owned(),
            state: State::start(app),
            is_kept: false,
        };
        app.config.relays.origins.iter().enumerate().map(announcer).collect()
    }

    /// The same, each as an earlier process left it in the store of the log that accounts share: none is asked again because a
    /// process has started.
    pub async fn all_kept(app: &Arc<App>) -> Result<Vec<Self>> {
        let mut all = Self::all(app);
        for relay in &mut all {
            relay.is_kept = true;
            let origin = relay.origin.clone();
            let kept = app.read(move |sql| Ok(store::told_relay::get(sql, &origin)?)).await?;
            // What another version has kept, and this one cannot read, is as good as nothing.
            if let Some(state) = kept.and_then(|text| serde_json::from_str(&text).ok()) {
                relay.state = state;
                app.relays().set(relay.index, relay.report());
            }
        }
        Ok(all)
    }

    /// Does what is due and returns when it is done, which takes as long as the relay takes to answer. `readers` is how many
    /// read the firehose.
    pub async fn tick(&mut self, readers: usize) -> Result<()> {
        let mut jitter = [0; 2];
        self.app.ports.entropy.fill(&mut jitter)?;
        let jitter = u16::from_le_bytes(jitter);
        let time = self.state.elapsed.read(&self.app);
        let was_quiet = self.state.quiet_since.is_some();
        self.state.quiet_since = (readers == 0).then(|| self.state.quiet_since.unwrap_or(time));
        let situation = self.situation(time);
        match self.state.schedule.due(time, situation) {
            Some(Step::RequestCrawl) => self.request_crawl(situation, jitter).await,
            Some(Step::ReadStatus) => self.read_status(jitter).await,
            None if self.is_kept && was_quiet != (readers == 0) => return self.keep().await,
            None => return Ok(()),
        }
        self.app.relays().set(self.index, self.report());
        if self.is_kept { self.keep().await } else { Ok(()) }
    }

    /// How long until something is due, if nothing happens that is not known yet. `told` says that there is an account and an
    /// event that the last tick did not see.
    pub fn next(&self, told: bool) -> Option<Duration> {
        let now = self.state.elapsed.clone().read(&self.app);
        let mut situation = self.situation(now);
        if told {
            (situation.has_accounts, situation.newest) = (true, i64::MAX);
        }
        self.state.schedule.next(now, situation).map(|at| at.saturating_sub(now))
    }

    fn situation(&self, time: Duration) -> Situation {
        let (has_accounts, newest) = self.app.relays().situation();
        let quiet = self.state.quiet_since.map(|since| time.saturating_sub(since));
        Situation { has_accounts, newest, quiet }
    }

    async fn keep(&self) -> Result<()> {
        let (origin, state) = (self.origin.clone(), serde_json::to_string(&self.state).map_err(internal)?);
        self.app.write(move |sql| Ok(store::told_relay::set(sql, &origin, &state)?)).await
    }

    async fn request_crawl(&mut self, situation: Situation, jitter: u16) {
        let net = self.app.ports.net.as_ref();
        let (outcome, problem) = exchange::request_crawl(net, &self.origin, &self.hostname).await;
        // A wait that the relay asks for begins with its answer.
        let time = self.state.elapsed.read(&self.app);
        self.state.schedule.crawl_requested(time, situation, outcome, jitter);
        let before = mem::replace(&mut self.state.crawl_problem, problem);
        let relay = &self.origin;
        let Some(problem) = &self.state.crawl_problem else {
            self.state.crawl_at = Some(self.app.now_micros());
            tracing::info!(relay.url = %relay, hostname = %self.hostname, "relay was asked for a crawl");
            return;
        };
        if before.as_ref() == Some(problem) {
            tracing::debug!(relay.url = %relay, problem, "relay could not be asked for a crawl");
        } else if outcome == Outcome::Refused {
            tracing::warn!(relay.url = %relay, problem, "relay refuses to crawl this server; asking again is of little use");
        } else {
            tracing::warn!(relay.url = %relay, problem, "relay could not be asked for a crawl; it is tried again");
        }
    }

    async fn read_status(&mut self, jitter: u16) {
        let net = self.app.ports.net.as_ref();
        let read = exchange::host_status(net, &self.origin, &self.hostname).await;
        let time = self.state.elapsed.read(&self.app);
        let relay = &self.origin;
        let known = match read {
            Ok(Some(host)) => Known::Host(host),
            Ok(None) => Known::NotFound,
            Err(problem) => {
                self.state.schedule.status_read(time, None, jitter);
                if self.state.status_problem.as_ref() != Some(&problem) {
                    tracing::warn!(relay.url = %relay, problem, "relay does not tell what it knows of this server");
                }
                self.state.status_problem = Some(problem);
                return;
            }
        };
        self.state.schedule.status_read(time, Some(known.is_lost()), jitter);
        self.state.status_problem = None;
        let before = mem::replace(&mut self.state.known, known);
        let status = self.state.known.word();
        if status == before.word() {
            return;
        }
        let status = status.unwrap_or_default();
        match self.state.known.problem() {
            Some(problem) => tracing::warn!(relay.url = %relay, relay.status = status, "{problem}"),
            None => tracing::info!(relay.url = %relay, relay.status = status, "relay knows this server"),
        }
    }

    fn report(&self) -> RelayReport {
        let host = match &self.state.known {
            Known::Host(host) => host.clone(),
            Known::Unasked | Known::NotFound => HostStatus::default(),
        };
        let problems = [
            self.state.crawl_problem.as_deref(),
            self.state.known.problem(),
            // Not worth a word beside another problem: it is most often the same one.
            self.state.status_problem.as_deref().filter(|_| self.state.crawl_problem.is_none()),
        ];
        let problems: Vec<&str> = problems.into_iter().flatten().collect();
        RelayReport {
            last_crawl: self.state.crawl_at.map(datetime),
            status: host.status,
            seq: host.seq,
            accounts: host.accounts,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
            ..RelayReport::of(&self.origin)
        }
    }
}

impl State {
    fn start(app: &App) -> Self {
        Self {
            elapsed: Elapsed::start(app),
            schedule: Schedule::default(),
            quiet_since: None,
            crawl_at: None,
            known: Known::default(),
            crawl_problem: None,
            status_problem: None,
        }
    }
}

impl Known {
    /// The word of the protocol, where there is one.
    fn word(&self) -> Option<&str> {
        match self {
            Self::Unasked => None,
            Self::NotFound => Some("unknown"),
            Self::Host(host) => host.status.as_deref().or(Some("")),
        }
    }

    /// True when the relay does not read this server and says so.
    fn is_lost(&self) -> bool {
        matches!(self.word(), Some("unknown" | "offline"))
    }

    /// What is wrong with it.
    fn problem(&self) -> Option<&'static str> {
        Some(match self.word()? {
            "unknown" => "the relay does not know this server yet",
            "banned" => "the relay has banned this server: ask its operator",
            "throttled" => "the relay throttles this server: ask its operator for more accounts or events",
            "offline" => {
                "the relay cannot reach this server: see whether its public name, TLS and WebSockets work from outside"
            }
            _ => return None,
        })
    }
}
