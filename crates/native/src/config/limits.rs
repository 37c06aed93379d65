//! How much accounts and addresses may ask for, and who the addresses are.

use super::{Given, Host, Networks, units};
use anyhow::{Context, Result, bail, ensure};
use rookery_pds::config::{Rate, RateLimits};
use std::time::Duration;

const WRITES: &str = "5000/1h,35000/1d";
const UPLOADS: &str = "1000/1d";
const READS: &str = "3000/5m";
const EXPORTS: &str = "6000/5m";
const SIGNUPS: &str = "100/5m";
const FAILURES: &str = "300/5m";
const PROXIES: &str = "127.0.0.0/8,::1";
const CONNECTIONS: &str = "16384";
const CONNECTIONS_PER_ADDRESS: &str = "1000";

/// A year is as good as for ever.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Bounds on those who connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clients {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// Connections of one address at a time, unless it is a proxy's.
    pub(crate) connections_per_address: usize,
    /// Reverse proxies: what they say of whom they speak for is believed.
    pub(crate) proxies: Networks,
    /// True when strangers can only come through a proxy, since there is no TLS here.
    pub(crate) public: bool,
    /// Addresses without limits. All, when rate limits are off.
    pub(crate) exempt: Exempt,
}

/// Who has no limits by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exempt {
    All,
    Networks(Networks),
}

impl Clients {
    pub(super) fn new(given: &Given, host: &Host) -> Result<Self> {
        let connections = given.connections.as_deref().unwrap_or(CONNECTIONS);
        let per_address = given.connections_per_address.as_deref().unwrap_or(CONNECTIONS_PER_ADDRESS);
        let exempt = given.rate_exempt.as_deref().unwrap_or_default();
        let exempt = Networks::parse(exempt, "an address without limits")?;
        Ok(Self {
            connections: at_least_one(connections)?,
            connections_per_address: at_least_one(per_address)?,
            proxies: Networks::parse(given.trusted_proxies.as_deref().unwrap_or(PROXIES), "a proxy")?,
            public: *host != Host::Local,
            exempt: if are_on(given)? { Exempt::Networks(exempt) } else { Exempt::All },
        })
    }
}

/// The rates; none when they are off.
pub(super) fn rates(given: &Given) -> Result<RateLimits> {
    if !are_on(given)? {
        return Ok(RateLimits::default());
    }
    let read = |given: &Option<String>, default| parse(given.as_deref().unwrap_or(default));
    Ok(RateLimits {
        writes: read(&given.rate_writes, WRITES)?,
        uploads: read(&given.rate_uploads, UPLOADS)?,
        reads: read(&given.rate_reads, READS)?,
        exports: read(&given.rate_exports, EXPORTS)?,
        signups: read(&given.rate_signups, SIGNUPS)?,
        failures: read(&given.rate_failures, FAILURES)?,
    })
}

fn are_on(given: &Given) -> Result<bool> {
    match given.rate_limits.as_deref().map(str::trim) {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => bail!("the rate limits are on or off, not {other}"),
    }
}

/// `off`, or one or two of points and time, such as `5000/1h,35000/1d`.
fn parse(text: &str) -> Result<Vec<Rate>> {
    if text.trim() == "off" {
        return Ok(Vec::new());
    }
    let form = || {
        format!(
            "the rate {text} cannot be used: expected points and time, such as 100/5m, two of them with a comma, or off"
        )
    };
    let rates: Vec<Rate> = text.split(',').map(rate).collect::<Result<_>>().with_context(form)?;
    ensure!(rates.len() <= 2, form());
    Ok(rates)
}

fn rate(text: &str) -> Result<Rate> {
    let (points, window) = text.split_once('/').context("there is no slash in it")?;
    let points = points.trim().parse().ok().filter(|points| *points > 0);
    let points = points.with_context(|| format!("the points must be from 1 to {}", u32::MAX))?;
    let window = units::duration(window)?;
    ensure!(!window.is_zero() && window <= LONGEST, "the time must be from 1s to 366d");
    Ok(Rate { points, window })
}

fn at_least_one(text: &str) -> Result<usize> {
    let count = usize::try_from(units::count(text, "connections")?)?;
    ensure!(count > 0, "the number of connections, {text}, must be at least 1");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_points_in_a_time_and_the_defaults_are_the_networks() {
        let rate = |points, seconds| Rate { points, window: Duration::from_secs(seconds) };
        let given = Given { rate_reads: Some("off".to_owned()), ..Given::default() };
        let rates = rates(&given).unwrap();
        assert_eq!(rates.writes, [rate(5_000, 3_600), rate(35_000, 86_400)]);
        assert_eq!((rates.uploads, rates.reads), (vec![rate(1_000, 86_400)], vec![]));
        assert_eq!((rates.exports, rates.signups), (vec![rate(6_000, 300)], vec![rate(100, 300)]));
        assert_eq!(parse(" 3 / 2 s ").unwrap(), [rate(3, 2)]);
    }

    #[test]
    fn off_is_off_for_all() {
        let given = Given { rate_limits: Some("off".to_owned()), ..Given::default() };
        assert_eq!(rates(&given).unwrap(), RateLimits::default());
        assert_eq!(Clients::new(&given, &Host::Local).unwrap().exempt, Exempt::All);
    }

    #[test]
    fn what_is_no_rate_is_refused_by_name() {
        for text in [
            "",
            "100",
            "100/",
            "/5m",
            "0/5m",
            "1/0s",
            "1/367d",
            "-1/5m",
            "4294967296/5m",
            "1/1s,1/2s,1/3s",
            "1/1s,",
        ] {
            let refusal = format!("{:#}", parse(text).unwrap_err());
            assert!(refusal.contains(&format!("the rate {text} ")), "{refusal}");
        }
        let given = Given { rate_limits: Some("maybe".to_owned()), ..Given::default() };
        assert!(rates(&given).unwrap_err().to_string().contains("maybe"));
        for (connections, proxies) in [(Some("0"), None), (Some("many"), None), (None, Some("localhost"))] {
            let given = Given {
                connections: connections.map(str::to_owned),
                trusted_proxies: proxies.map(str::to_owned),
                ..Given::default()
            };
            assert!(Clients::new(&given, &Host::Local).is_err());
        }
    }

    /// What the documents say of the numbers is what they are.
    #[test]
    fn the_documents_tell_the_defaults() {
        let security = include_str!("../../../../SECURITY.md");
        let readme = include_str!("../../../../README.md");
        for (name, default) in [
            ("ROOKERY_RATE_WRITES", WRITES),
            ("ROOKERY_RATE_UPLOADS", UPLOADS),
            ("ROOKERY_RATE_READS", READS),
            ("ROOKERY_RATE_EXPORTS", EXPORTS),
            ("ROOKERY_RATE_SIGNUPS", SIGNUPS),
            ("ROOKERY_RATE_FAILURES", FAILURES),
            ("ROOKERY_TRUSTED_PROXIES", PROXIES),
            ("ROOKERY_CONNECTIONS", CONNECTIONS),
            ("ROOKERY_CONNECTIONS_PER_ADDRESS", CONNECTIONS_PER_ADDRESS),
        ] {
            for (document, text) in [("README.md", readme), ("SECURITY.md", security)] {
                let row = format!("`{name}` | `{default}` |");
                assert!(text.contains(&row), "{document} has no {row}");
            }
        }
    }
}
