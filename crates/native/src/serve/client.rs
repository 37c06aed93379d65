//! Who is at the other end: the peer of the connection, or whoever a trusted reverse proxy speaks for.

use crate::config::{Clients, Exempt};
use http::{HeaderMap, HeaderName};
use rookery_pds::limits::{ClientAddress, address_key};
use std::net::IpAddr;
use std::sync::Once;

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Under what a connection is counted; none for proxies, since everybody comes through them, and for those without limits.
pub(super) fn connection_key(clients: &Clients, peer: IpAddr) -> Option<u64> {
    let free = clients.proxies.contain(peer) || is_exempt(clients, peer);
    (!free).then(|| address_key(peer))
}

/// The address that a request is counted under; none for those without limits.
pub(super) fn address(clients: &Clients, peer: IpAddr, headers: &HeaderMap) -> Option<ClientAddress> {
    if clients.exempt == Exempt::All {
        return None;
    }
    let (trusted, told) = (clients.proxies.contain(peer), headers.contains_key(FORWARDED));
    if clients.public && trusted != told {
        warn_once(peer, told);
    }
    let address = if trusted { forwarded(clients, peer, headers) } else { peer };
    (!is_exempt(clients, address)).then_some(ClientAddress(address))
}

/// The last address in `X-Forwarded-For` that is not a trusted proxy's. What stands before it was written by whoever has that
/// address, and may be anything.
fn forwarded(clients: &Clients, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut known = peer;
    let lines = headers.get_all(FORWARDED).iter().rev();
    for line in lines {
        for entry in line.to_str().unwrap_or_default().rsplit(',') {
            // What is no address was not written by a proxy that can be trusted with it.
            let Some(address) = parse(entry.trim()) else { return known };
            known = address;
            if !clients.proxies.contain(address) {
                return known;
            }
        }
    }
    known
}

/// An address, which some proxies write with a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry.parse().ok().or_else(|| Some(entry.parse::<std::net::SocketAddr>().ok()?.ip()));
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address| address.to_canonical())
}

fn is_exempt(clients: &Clients, address: IpAddr) -> bool {
    match &clients.exempt {
        Exempt::All => true,
        Exempt::Networks(networks) => networks.contain(address),
    }
}

/// Everybody behind a proxy that is not trusted, or does not tell, counts as one. An operator should know; a stranger must not
/// fill the log.
fn warn_once(peer: IpAddr, told: bool) {
    static WARNED: [Once; 2] = [Once::new(), Once::new()];
    let [silent, doubted] = &WARNED;
    if told {
        doubted.call_once(|| {
            tracing::warn!(
                %peer,
                "X-Forwarded-For is not believed from this address; if it is your reverse proxy's, put it into \
                 ROOKERY_TRUSTED_PROXIES: until then all who come through it count as one"
            );
        });
    } else {
        silent.call_once(|| {
            tracing::warn!(
                %peer,
                "a request from a trusted proxy's address has no X-Forwarded-For; if it came through your reverse proxy, let \
                 that set it: until then all who come through it count as one"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Given;

    fn clients() -> Clients {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "trusted_proxies = \"127.0.0.1, 10.0.0.0/8\"\nrate_exempt = \"198.51.100.0/24\"\n";
        std::fs::write(file.path(), text).unwrap();
        Given::default().settle(file.path().to_str()).unwrap().clients
    }

    fn found(peer: &str, lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let address = address(&clients(), peer.parse().unwrap(), &headers);
        address.map(|ClientAddress(address)| address.to_string())
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_clients() {
        for (peer, lines, expected) in [
            ("127.0.0.1", &[][..], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.5"], "203.0.113.5"),
            ("127.0.0.1", &["192.0.2.1, 203.0.113.5"], "203.0.113.5"),
            ("127.0.0.1", &["192.0.2.1, 203.0.113.5, 10.1.2.3"], "203.0.113.5"),
            ("127.0.0.1", &["192.0.2.1", "203.0.113.5,10.1.2.3"], "203.0.113.5"),
            ("127.0.0.1", &["203.0.113.5:4711"], "203.0.113.5"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("127.0.0.1", &["203.0.113.5, nonsense"], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.5, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("127.0.0.1", &[""], "127.0.0.1"),
            ("::ffff:10.0.0.9", &["203.0.113.5"], "203.0.113.5"),
            // Not a proxy: it may say what it likes.
            ("192.0.2.9", &["203.0.113.5"], "192.0.2.9"),
            ("127.0.0.2", &["203.0.113.5"], "127.0.0.2"),
        ] {
            assert_eq!(found(peer, lines).as_deref(), Some(expected), "{peer} {lines:?}");
        }
    }

    #[test]
    fn who_is_exempt_is_nobody_to_the_limits() {
        assert_eq!(found("198.51.100.7", &[]), None);
        assert_eq!(found("127.0.0.1", &["198.51.100.7"]), None);
        let clients = clients();
        let key = |peer: &str| connection_key(&clients, peer.parse().unwrap());
        assert_eq!((key("198.51.100.7"), key("10.9.9.9")), (None, None));
        assert!(key("192.0.2.9").is_some());
    }
}
