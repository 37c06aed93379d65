//! Who sends a request, as far as limits go.

use super::Limit;
use super::window::Standing;
use crate::error::Result;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The address that a request comes from. The host puts it among the request's extensions; where it does not, nothing is
/// limited by address.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// What addresses are counted under: an IPv4 address, or the first 64 bits of one of IPv6, since whoever has one of these
/// has the whole network (RFC 6177).
pub fn address_key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        // Above every IPv4 address, but for ::/32, from where nobody comes but this machine.
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

/// The sender of a request, and what the answer is to tell of its limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// What its address is counted under.
    pub(crate) address: Option<u64>,
    /// The tightest of the limits that applied.
    told: Arc<Mutex<Option<Standing>>>,
}

impl Client {
    /// The sender by the address that the host has found out.
    pub(crate) fn arriving(extensions: &Extensions) -> Self {
        let address = extensions.get::<ClientAddress>().map(|ClientAddress(address)| address_key(*address));
        Self { address, ..Self::default() }
    }

    /// The sender of a request that has passed the limits of its address.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Takes points of `limit` from its address, if there is one to count them under.
    pub(crate) fn charge(&self, limit: &Limit, points: u32, now: i64) -> Result<()> {
        self.address.map_or(Ok(()), |address| self.charge_to(limit, address, points, now))
    }

    /// Takes points of `limit` from whoever `key` is.
    pub(crate) fn charge_to(&self, limit: &Limit, key: u64, points: u32, now: i64) -> Result<()> {
        if let Some(standing) = limit.take(key, points, now)? {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            *told = told.filter(|other| other.remaining < standing.remaining).or(Some(standing));
        }
        Ok(())
    }

    /// Tells how it stands, unless the answer is a refusal that has told already.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = told.filter(|_| !headers.contains_key(LIMIT)) {
            standing.tell(headers);
        }
    }
}

impl Standing {
    /// The headers of the reference PDS: those of draft-ietf-httpapi-ratelimit-headers-03, but that `RateLimit-Reset` is a time.
    fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.rate.points.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, self.resets.into());
        let policy = format!("{};w={}", self.rate.points, self.rate.window.as_secs());
        headers.insert(POLICY, HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("")));
    }

    /// The headers of a refusal.
    pub(crate) fn refuse(&self, headers: &mut HeaderMap) {
        self.tell(headers);
        headers.insert(header::RETRY_AFTER, self.wait.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;
    use std::time::Duration;

    fn key(address: &str) -> u64 {
        address_key(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_one_subscriber_line_are_one() {
        assert_eq!(key("203.0.113.5"), key("::ffff:203.0.113.5"));
        assert_ne!(key("203.0.113.5"), key("203.0.113.6"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }

    #[test]
    fn an_answer_tells_the_tightest_limit_that_applied() {
        let limit = |points| {
            let rate = Rate { points, window: Duration::from_secs(60) };
            Limit::new("Too much", &[rate], 8)
        };
        let client = Client { address: Some(1), ..Client::default() };
        let (wide, narrow) = (limit(100), limit(3));
        for limit in [&wide, &narrow, &wide] {
            client.charge(limit, 1, 0).unwrap();
        }
        let mut headers = HeaderMap::new();
        client.tell(&mut headers);
        let told = [LIMIT, REMAINING, RESET, POLICY].map(|name| headers[name].to_str().unwrap().to_owned());
        assert_eq!(told, ["3", "2", "60", "3;w=60"]);
        assert!(!headers.contains_key(header::RETRY_AFTER));
    }
}
