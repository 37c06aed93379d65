//! How much accounts and addresses may ask for, and who the addresses are.

use super::{Given, Host};
use anyhow::{Result, ensure};
use rookery_pds::config::given::Rates;
use rookery_pds::config::networks::Networks;
use rookery_pds::config::units;

const PROXIES: &str = "127.0.0.0/8,::1";
const CONNECTIONS: &str = "16384";
const CONNECTIONS_PER_ADDRESS: &str = "1000";

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
            exempt: if rates(given).are_on()? { Exempt::Networks(exempt) } else { Exempt::All },
        })
    }
}

/// What was said of rates.
pub(super) fn rates(given: &Given) -> Rates<'_> {
    Rates {
        limits: given.rate_limits.as_deref(),
        writes: given.rate_writes.as_deref(),
        uploads: given.rate_uploads.as_deref(),
        reads: given.rate_reads.as_deref(),
        exports: given.rate_exports.as_deref(),
        signups: given.rate_signups.as_deref(),
        failures: given.rate_failures.as_deref(),
    }
}

fn at_least_one(text: &str) -> Result<usize> {
    let count = usize::try_from(units::count(text, "connections")?)?;
    ensure!(count > 0, "the number of connections, {text}, must be at least 1");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_pds::config::given;

    #[test]
    fn off_is_off_for_all() {
        let given = Given { rate_limits: Some("off".to_owned()), ..Given::default() };
        assert!(!rates(&given).are_on().unwrap());
        assert_eq!(Clients::new(&given, &Host::Local).unwrap().exempt, Exempt::All);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
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
            ("ROOKERY_RATE_WRITES", given::RATE_WRITES),
            ("ROOKERY_RATE_UPLOADS", given::RATE_UPLOADS),
            ("ROOKERY_RATE_READS", given::RATE_READS),
            ("ROOKERY_RATE_EXPORTS", given::RATE_EXPORTS),
            ("ROOKERY_RATE_SIGNUPS", given::RATE_SIGNUPS),
            ("ROOKERY_RATE_FAILURES", given::RATE_FAILURES),
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
