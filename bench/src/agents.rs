//! Who writes: agents that enroll with WelcomeMat, or, at a server that does not know it, accounts with a session.

use crate::cores;
use crate::figures::{Meter, Used};
use crate::host::Host;
use crate::keys::Keys;
use crate::load::{self, Answered, Request};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header;
use http_body_util::Full;
use rookery_testkit::agent::signup_body;
use rookery_testkit::forge::Jwt;
use rookery_testkit::keys::unique;
use rookery_testkit::{TestAgent, TestKey};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Connections that enroll those who write later.
const AT_ONCE: usize = 8;
const CREATE_ACCOUNT: &str = "com.atproto.server.createAccount";

/// An account that can write.
#[derive(Clone, Debug)]
pub(crate) enum Agent {
    /// Every request has a proof by its key.
    Key(TestAgent),
    /// Every request has the same bearer token.
    Session { did: String, token: String },
}

/// Enrollments and what they took.
pub(crate) struct Enrolled {
    pub(crate) agents: Vec<Agent>,
    pub(crate) times: Vec<Duration>,
    pub(crate) time: Duration,
    pub(crate) used: Used,
    /// One of the requests, and the bytes of its answer: for the floor.
    pub(crate) sample: (Request, usize),
}

impl Agent {
    pub(crate) fn did(&self) -> &str {
        match self {
            Self::Key(agent) => &agent.did,
            Self::Session { did, .. } => did,
        }
    }

    /// A procedure with everything that it needs to be let in.
    pub(crate) fn post(&self, host: &Host, nsid: &str, input: &Value) -> Result<Request> {
        let request = post(host, &format!("/xrpc/{nsid}"));
        let request = match self {
            Self::Key(agent) => request
                .header(header::AUTHORIZATION, format!("DPoP {}", agent.token))
                .header("dpop", agent.proof(nsid).sign(&agent.key)),
            Self::Session { token, .. } => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        };
        Ok(request.body(Full::new(Bytes::from(input.to_string())))?)
    }
}

/// What lets them in, for figures.
pub(crate) fn credential(host: &Host, keys: &Keys) -> &'static str {
    if host.has_sessions() { "session" } else { keys.algorithm.name() }
}

/// So many agents, with quick keys.
pub(crate) async fn enroll(host: &Host, count: usize) -> Result<Vec<Agent>> {
    enroll_with(host, &Keys::es256(), count).await
}

/// So many agents with keys of a kind.
pub(crate) async fn enroll_with(host: &Host, keys: &Keys, count: usize) -> Result<Vec<Agent>> {
    Ok(measured(host, keys, count, AT_ONCE.min(count)).await?.agents)
}

/// Enrolls over so many connections, with all keys made and everything signed before the clock starts.
pub(crate) async fn measured(host: &Host, keys: &Keys, count: usize, connections: usize) -> Result<Enrolled> {
    ensure!(count > 0, "without agents nothing is written");
    let domain = host.target.handle_domain().await;
    let keys = if host.has_sessions() { Vec::new() } else { keys.get(count)? };
    let terms = if host.has_sessions() { Bytes::new() } else { host.target.terms().await };
    let requests = cores::each("signups signed", count, |n| match keys.get(n) {
        Some(key) => signup(host, key, &terms),
        None => create_account(host, &domain),
    })?;
    let sample = requests.first().context("no signups")?.clone();

    let meter = Meter::start(host);
    let start = Instant::now();
    let take = |body: &Bytes| Ok(body.clone());
    let answers =
        load::run(host.target.authority(), "agents enrolled", requests, connections, None, take).await?;
    let (time, used) = (start.elapsed(), meter.stop());
    let times = answers.iter().map(Answered::time).collect();
    let bytes = answers.first().map_or(0, |answer| answer.value.len());
    let mut keys = keys.into_iter();
    let agents =
        answers.into_iter().map(|answer| agent(host, keys.next(), &answer.value)).collect::<Result<_>>()?;
    Ok(Enrolled { agents, times, time, used, sample: (sample, bytes) })
}

fn signup(host: &Host, key: &TestKey, terms: &Bytes) -> Result<Request> {
    let path = "/api/signup";
    let proof = Jwt::proof(key, "POST", &format!("{}{path}", host.target.url), None).sign(key);
    let body = signup_body(&host.target, key, terms, &unique()).to_string();
    Ok(post(host, path).header("dpop", proof).body(Full::new(Bytes::from(body)))?)
}

fn create_account(host: &Host, domain: &str) -> Result<Request> {
    let name = unique();
    let body = json!({
        "handle": format!("{name}{domain}"), "email": format!("{name}@example.com"), "password": unique(),
    });
    Ok(post(host, &format!("/xrpc/{CREATE_ACCOUNT}")).body(Full::new(Bytes::from(body.to_string())))?)
}

fn agent(host: &Host, key: Option<TestKey>, body: &Bytes) -> Result<Agent> {
    let body: Value = serde_json::from_slice(body)?;
    let text = |name: &str| {
        let value = body.get(name).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("the new account has no {name}"))
    };
    let did = text("did")?;
    Ok(match key {
        Some(key) => {
            let (handle, token) = (text("handle")?, text("access_token")?);
            Agent::Key(TestAgent { target: host.target.clone(), key, did, handle, token, ahead: 0 })
        }
        None => Agent::Session { did, token: text("accessJwt")? },
    })
}

fn post(host: &Host, path: &str) -> http::request::Builder {
    http::Request::post(path)
        .header(header::HOST, host.target.authority())
        .header(header::CONTENT_TYPE, "application/json")
}
