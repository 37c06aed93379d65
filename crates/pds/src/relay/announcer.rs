//! Speaks with one relay.

use super::Elapsed;
use super::exchange::{self, HostStatus};
use super::report::RelayReport;
use super::schedule::{Outcome, Schedule, Situation, Step};
use crate::app::App;
use crate::error::Result;
use crate::sequencer::emit::datetime;
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
    elapsed: Elapsed,
    schedule: Schedule,
    /// When it last accepted a request, in microseconds.
    crawl_at: Option<i64>,
    known: Known,
    /// What is wrong with asking for a crawl, and with reading the status.
    crawl_problem: Option<String>,
    status_problem: Option<String>,
}

/// What the relay said of this server when it was last asked.
#[derive(Debug, Default)]
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
            elapsed: Elapsed::start(app),
            schedule: Schedule::default(),
            crawl_at: None,
            known: Known::default(),
            crawl_problem: None,
            status_problem: None,
        };
        app.config.relays.origins.iter().enumerate().map(announcer).collect()
    }

    /// Does what is due and returns when it is done, which takes as long as the relay takes to answer. `quiet` is how long
    /// nobody has read the firehose; none while somebody does.
    pub async fn tick(&mut self, quiet: Option<Duration>) -> Result<()> {
        let mut jitter = [0; 2];
        self.app.ports.entropy.fill(&mut jitter)?;
        let jitter = u16::from_le_bytes(jitter);
        let time = self.elapsed.read(&self.app);
        let (has_accounts, newest) = self.app.relays().situation();
        let situation = Situation { has_accounts, newest, quiet };
        match self.schedule.due(time, situation) {
            Some(Step::RequestCrawl) => self.request_crawl(situation, jitter).await,
            Some(Step::ReadStatus) => self.read_status(jitter).await,
            None => return Ok(()),
        }
        self.app.relays().set(self.index, self.report());
        Ok(())
    }

    async fn request_crawl(&mut self, situation: Situation, jitter: u16) {
        let net = self.app.ports.net.as_ref();
        let (outcome, problem) = exchange::request_crawl(net, &self.origin, &self.hostname).await;
        // A wait that the relay asks for begins with its answer.
        let time = self.elapsed.read(&self.app);
        self.schedule.crawl_requested(time, situation, outcome, jitter);
        let before = mem::replace(&mut self.crawl_problem, problem);
        let relay = &self.origin;
        let Some(problem) = &self.crawl_problem else {
            self.crawl_at = Some(self.app.now_micros());
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
        let time = self.elapsed.read(&self.app);
        let relay = &self.origin;
        let known = match read {
            Ok(Some(host)) => Known::Host(host),
            Ok(None) => Known::NotFound,
            Err(problem) => {
                self.schedule.status_read(time, None, jitter);
                if self.status_problem.as_ref() != Some(&problem) {
                    tracing::warn!(relay.url = %relay, problem, "relay does not tell what it knows of this server");
                }
                self.status_problem = Some(problem);
                return;
            }
        };
        self.schedule.status_read(time, Some(known.is_lost()), jitter);
        self.status_problem = None;
        let before = mem::replace(&mut self.known, known);
        let status = self.known.word();
        if status == before.word() {
            return;
        }
        let status = status.unwrap_or_default();
        match self.known.problem() {
            Some(problem) => tracing::warn!(relay.url = %relay, relay.status = status, "{problem}"),
            None => tracing::info!(relay.url = %relay, relay.status = status, "relay knows this server"),
        }
    }

    fn report(&self) -> RelayReport {
        let host = match &self.known {
            Known::Host(host) => host.clone(),
            Known::Unasked | Known::NotFound => HostStatus::default(),
        };
        let problems = [
            self.crawl_problem.as_deref(),
            self.known.problem(),
            // Not worth a word beside another problem: it is most often the same one.
            self.status_problem.as_deref().filter(|_| self.crawl_problem.is_none()),
        ];
        let problems: Vec<&str> = problems.into_iter().flatten().collect();
        RelayReport {
            last_crawl: self.crawl_at.map(datetime),
            status: host.status,
            seq: host.seq,
            accounts: host.accounts,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
            ..RelayReport::of(&self.origin)
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
