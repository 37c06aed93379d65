//! What the operator decided: flags over environment over `rookery.toml` over defaults.
//!
//! [`Given`] is what was said, each word as it came; [`Settings`] is what it means. The core's own configuration needs
//! the port too, which is only known once the server listens (port 0 asks for any).

mod app;
mod blobs;
mod file;
mod limits;
mod relays;
#[cfg(test)]
mod tests;

pub(crate) use blobs::{BlobStore, S3Bucket};
pub(crate) use limits::{Clients, Exempt};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use reqwest::Url;
use rookery_pds::config::{BlobRules, RateLimits, Relays, Retention, given, units};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

const DEFAULT_LISTEN: &str = "127.0.0.1:2583";
const DEFAULT_DATA_DIR: &str = "./data";
const DEFAULT_LOG: &str = "info";
const LOCAL: &str = "localhost";
const DEFAULT_SUBSCRIBERS: &str = "2000";
const DEFAULT_SUBSCRIBER_MEMORY: &str = "128MiB";
const DEFAULT_SUBSCRIBER_LAG: &str = "500000";

/// Settings as they are given. None is needed on a laptop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    /// Address and port to listen on; port 0 takes any that is free [default: 127.0.0.1:2583]
    #[arg(long, value_name = "ADDR", env = "ROOKERY_LISTEN")]
    listen: Option<String>,
    /// Where accounts, repositories and keys are kept [default: ./data]
    #[arg(long, value_name = "DIR", env = "ROOKERY_DATA_DIR")]
    data_dir: Option<String>,
    /// Public host name, behind a proxy that does TLS; localhost serves this machine only [default: localhost]
    #[arg(long, value_name = "NAME", env = "ROOKERY_HOSTNAME")]
    hostname: Option<String>,
    /// Parent domain of the agents' handles [default: .test on localhost, else the host name]
    #[arg(long, value_name = "DOMAIN", env = "ROOKERY_HANDLE_DOMAIN")]
    handle_domain: Option<String>,
    /// PLC directory where identities are registered [default: one of its own on localhost, else https://plc.directory]
    #[arg(long, value_name = "URL", env = "ROOKERY_PLC_URL")]
    plc_url: Option<String>,
    /// Terms of service that agents sign, read anew when the file changes [default: built-in terms]
    #[arg(long, value_name = "FILE", env = "ROOKERY_TERMS_FILE")]
    terms_file: Option<String>,
    /// How long the firehose can be read back [default: 72h]
    #[arg(long, value_name = "TIME", env = "ROOKERY_EVENT_RETENTION")]
    event_retention: Option<String>,
    /// How many events are kept at most, however young [default: 2000000]
    #[arg(long, value_name = "COUNT", env = "ROOKERY_EVENT_LIMIT")]
    event_limit: Option<String>,
    /// Firehose subscribers at a time [default: 2000]
    #[arg(long, value_name = "COUNT", env = "ROOKERY_SUBSCRIBERS")]
    subscribers: Option<String>,
    /// Memory for the events on their way to all subscribers together [default: 128MiB]
    #[arg(long, value_name = "SIZE", env = "ROOKERY_SUBSCRIBER_MEMORY")]
    subscriber_memory: Option<String>,
    /// Events a subscriber may fall behind before it is cut off [default: 500000]
    #[arg(long, value_name = "COUNT", env = "ROOKERY_SUBSCRIBER_LAG")]
    subscriber_lag: Option<String>,
    /// Relays that are told of this server, separated by commas, such as https://bsky.network [default: none]
    #[arg(long, value_name = "ORIGINS", env = "ROOKERY_RELAY_HOSTS")]
    relay_hosts: Option<String>,
    /// Accounts that those relays take from this server; a warning comes at 80 % [default: 100]
    #[arg(long, value_name = "COUNT", env = "ROOKERY_RELAY_ACCOUNT_CAP")]
    relay_account_cap: Option<String>,
    /// Where blobs are kept: files in the data directory, or a bucket as s3://bucket/prefix [default: files]
    #[arg(long, value_name = "STORE", env = "ROOKERY_BLOB_STORE")]
    blob_store: Option<String>,
    /// The largest blob [default: 60MiB]
    #[arg(long, value_name = "SIZE", env = "ROOKERY_BLOB_LIMIT")]
    blob_limit: Option<String>,
    /// How long a blob is kept that no record refers to; the network expects an hour or more [default: 6h]
    #[arg(long, value_name = "TIME", env = "ROOKERY_BLOB_GRACE")]
    blob_grace: Option<String>,
    /// Where the bucket is, when it is not Amazon's [default: https://s3.<region>.amazonaws.com]
    #[arg(long, value_name = "URL", env = "ROOKERY_S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// Region of the bucket; elsewhere whatever the store calls its own [default: us-east-1]
    #[arg(long, value_name = "REGION", env = "ROOKERY_S3_REGION")]
    s3_region: Option<String>,
    /// Who the server is to the bucket; the secret is given as ROOKERY_S3_SECRET_ACCESS_KEY
    #[arg(long, value_name = "ID", env = "ROOKERY_S3_ACCESS_KEY_ID")]
    s3_access_key_id: Option<String>,
    /// Rate limits: on, or off for tests and benchmarks; off takes the bounds by address away too [default: on]
    #[arg(long, value_name = "ON", env = "ROOKERY_RATE_LIMITS")]
    rate_limits: Option<String>,
    /// Points for the writes of an account, each create 3, update 2, delete 1; one rate or two [default: 5000/1h,35000/1d]
    #[arg(long, value_name = "RATE", env = "ROOKERY_RATE_WRITES")]
    rate_writes: Option<String>,
    /// Uploads of an account [default: 1000/1d]
    #[arg(long, value_name = "RATE", env = "ROOKERY_RATE_UPLOADS")]
    rate_uploads: Option<String>,
    /// Requests from an address that are no writes [default: 3000/5m]
    #[arg(long, value_name = "RATE", env = "ROOKERY_RATE_READS")]
    rate_reads: Option<String>,
    /// Exports of repos to an address, which are not among those requests [default: 6000/5m]
    #[arg(long, value_name = "RATE", env = "ROOKERY_RATE_EXPORTS")]
    rate_exports: Option<String>,
    /// Enrollments from an address [default: 100/5m]
    #[arg(long, value_name = "RATE", env = "ROOKERY_RATE_SIGNUPS")]
    rate_signups: Option<String>,
    /// Failed authentications from an address, after which none is checked [default: 300/5m]
    #[arg(long, value_name = "RATE", env = "ROOKERY_RATE_FAILURES")]
    rate_failures: Option<String>,
    /// Addresses or networks without limits by address, separated by commas, such as your own relay's [default: none]
    #[arg(long, value_name = "NETWORKS", env = "ROOKERY_RATE_EXEMPT")]
    rate_exempt: Option<String>,
    /// Reverse proxies, whose X-Forwarded-For is believed, as addresses or networks, or none [default: 127.0.0.0/8,::1]
    #[arg(long, value_name = "NETWORKS", env = "ROOKERY_TRUSTED_PROXIES")]
    trusted_proxies: Option<String>,
    /// Connections at a time, firehose subscribers not counted [default: 16384]
    #[arg(long, value_name = "COUNT", env = "ROOKERY_CONNECTIONS")]
    connections: Option<String>,
    /// Connections of one address at a time, trusted proxies excepted [default: 1000]
    #[arg(long, value_name = "COUNT", env = "ROOKERY_CONNECTIONS_PER_ADDRESS")]
    connections_per_address: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,rookery_pds=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "ROOKERY_LOG")]
    log: Option<String>,
    /// How it is logged: text for people, json for programs, a line each [default: text]
    #[arg(long, value_name = "FORMAT", env = "ROOKERY_LOG_FORMAT")]
    log_format: Option<String>,
}

impl Given {
    /// Nothing but perhaps a data directory.
    pub(crate) fn at(data_dir: Option<String>) -> Self {
        Self { data_dir, ..Self::default() }
    }
}

/// What the words mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) host: Host,
    handle_domain: Option<String>,
    plc_url: Option<String>,
    pub(crate) terms_file: Option<PathBuf>,
    retention: Retention,
    pub(crate) subscribers: Subscribers,
    relays: Relays,
    pub(crate) blob_store: BlobStore,
    pub(crate) blobs: BlobRules,
    rates: RateLimits,
    pub(crate) clients: Clients,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

/// Bounds on the subscribers of the firehose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscribers {
    /// Connections at a time.
    pub(crate) most: usize,
    /// Bytes of events in memory, for all of them together.
    pub(crate) memory: usize,
    /// Events that one may fall behind.
    pub(crate) lag: u64,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Who the server is to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// This machine only, without TLS.
    Local,
    /// A name in the public DNS, with TLS in front.
    Public(String),
}

impl Given {
    /// What is missing here is taken from `other`. An empty word, as an environment easily has, counts as missing.
    fn or(self, other: Self) -> Self {
        let either = |first: Option<String>, second: Option<String>| {
            first.filter(|word| !word.trim().is_empty()).or(second).filter(|word| !word.trim().is_empty())
        };
        Self {
            listen: either(self.listen, other.listen),
            data_dir: either(self.data_dir, other.data_dir),
            hostname: either(self.hostname, other.hostname),
            handle_domain: either(self.handle_domain, other.handle_domain),
            plc_url: either(self.plc_url, other.plc_url),
            terms_file: either(self.terms_file, other.terms_file),
            event_retention: either(self.event_retention, other.event_retention),
            event_limit: either(self.event_limit, other.event_limit),
            subscribers: either(self.subscribers, other.subscribers),
            subscriber_memory: either(self.subscriber_memory, other.subscriber_memory),
            subscriber_lag: either(self.subscriber_lag, other.subscriber_lag),
            relay_hosts: either(self.relay_hosts, other.relay_hosts),
            relay_account_cap: either(self.relay_account_cap, other.relay_account_cap),
            blob_store: either(self.blob_store, other.blob_store),
            blob_limit: either(self.blob_limit, other.blob_limit),
            blob_grace: either(self.blob_grace, other.blob_grace),
            s3_endpoint: either(self.s3_endpoint, other.s3_endpoint),
            s3_region: either(self.s3_region, other.s3_region),
            s3_access_key_id: either(self.s3_access_key_id, other.s3_access_key_id),
            rate_limits: either(self.rate_limits, other.rate_limits),
            rate_writes: either(self.rate_writes, other.rate_writes),
            rate_uploads: either(self.rate_uploads, other.rate_uploads),
            rate_reads: either(self.rate_reads, other.rate_reads),
            rate_exports: either(self.rate_exports, other.rate_exports),
            rate_signups: either(self.rate_signups, other.rate_signups),
            rate_failures: either(self.rate_failures, other.rate_failures),
            rate_exempt: either(self.rate_exempt, other.rate_exempt),
            trusted_proxies: either(self.trusted_proxies, other.trusted_proxies),
            connections: either(self.connections, other.connections),
            connections_per_address: either(self.connections_per_address, other.connections_per_address),
            log: either(self.log, other.log),
            log_format: either(self.log_format, other.log_format),
        }
    }

    /// Adds what the file at `path` says, or `rookery.toml` here if there is one, and makes sense of it.
    pub(crate) fn settle(self, path: Option<&str>) -> Result<Settings> {
        Settings::new(self.or(file::load(path)?))
    }
}

impl Settings {
    fn new(given: Given) -> Result<Self> {
        let listen = given.listen.as_deref().unwrap_or(DEFAULT_LISTEN).trim();
        let listen = listen.parse().with_context(|| {
            format!("cannot listen on {listen}: expected address and port, such as {DEFAULT_LISTEN}")
        })?;
        let host = Host::parse(given.hostname.as_deref().unwrap_or(LOCAL))?;
        let retention = given::retention(given.event_retention.as_deref(), given.event_limit.as_deref())?;
        let subscribers = Subscribers::new(&given)?;
        let relays = relays::read(&given, &host)?;
        let (blob_store, blobs) = (
            BlobStore::new(&given)?,
            given::blobs(given.blob_limit.as_deref(), given.blob_grace.as_deref())?,
        );
        let (rates, clients) = (limits::rates(&given).read()?, Clients::new(&given, &host)?);
        Ok(Self {
            listen,
            data_dir: given.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.to_owned()).into(),
            host,
            handle_domain: given.handle_domain,
            plc_url: given.plc_url,
            terms_file: given.terms_file.map(PathBuf::from),
            retention,
            subscribers,
            relays,
            blob_store,
            blobs,
            rates,
            clients,
            log: given.log.unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            log_format: given.log_format.as_deref().map_or(Ok(LogFormat::Text), LogFormat::parse)?,
        })
    }
}

impl Subscribers {
    /// The largest frame has to fit, and be shared with another.
    const LEAST_MEMORY: u64 = 8 * 1024 * 1024;

    fn new(given: &Given) -> Result<Self> {
        let most = given.subscribers.as_deref().unwrap_or(DEFAULT_SUBSCRIBERS);
        let memory = given.subscriber_memory.as_deref().unwrap_or(DEFAULT_SUBSCRIBER_MEMORY);
        let lag = given.subscriber_lag.as_deref().unwrap_or(DEFAULT_SUBSCRIBER_LAG);
        let bytes = units::bytes(memory)?;
        ensure!(
            (Self::LEAST_MEMORY..=u64::from(u32::MAX)).contains(&bytes),
            "the memory for subscribers, {memory}, must be from 8MiB to 4GiB"
        );
        Ok(Self {
            most: usize::try_from(units::count(most, "subscribers")?)?,
            memory: usize::try_from(bytes)?,
            lag: units::count(lag, "events")?,
        })
    }
}

impl LogFormat {
    fn parse(text: &str) -> Result<Self> {
        Self::from_str(text.trim(), true)
            .map_err(|_| anyhow!("the log format {text} is not known: expected text or json"))
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self> {
        let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
        if matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]" | "::1") {
            return Ok(Self::Local);
        }
        if name.contains("://") || name.contains(['/', ':']) {
            bail!("the hostname {text} must be a bare name such as pds.example.com: no scheme, port or path");
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let last_is_word =
            name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
        ensure!(
            name.len() <= 253 && name.contains('.') && last_is_word && name.split('.').all(label),
            "the hostname {text} is not a public DNS name such as pds.example.com; use localhost to try things out"
        );
        Ok(Self::Public(name))
    }
}

/// True for a URL of HTTP that others can be put behind: a host, perhaps a path, and nothing else.
fn is_base(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// True for an address of this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}
