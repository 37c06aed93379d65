//! Addresses and networks as an operator writes them: `127.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`.

use super::units::Unusable;
use std::net::IpAddr;

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// Left-aligned.
    bits: u128,
    prefix: u32,
    is_ipv4: bool,
}

impl Networks {
    /// Addresses and networks, separated by commas, or `none`. `what` is what they are.
    pub fn parse(text: &str, what: &str) -> Result<Self, Unusable> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty() && text.trim() != "none");
        let networks = words.map(|word| {
            Network::parse(word).ok_or_else(|| {
                let form = "expected an address or a network, such as 10.0.0.0/8 or ::1";
                Unusable(format!("{word} is not {what}: {form}"))
            })
        });
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// True when one of them has the address.
    pub fn contain(&self, address: IpAddr) -> bool {
        let (bits, is_ipv4) = left_aligned(address.to_canonical());
        self.0.iter().any(|network| network.is_ipv4 == is_ipv4 && network.masked(bits) == network.bits)
    }
}

impl Network {
    fn parse(word: &str) -> Option<Self> {
        let (address, prefix) =
            word.split_once('/').map_or((word, None), |(address, prefix)| (address, Some(prefix)));
        let (bits, is_ipv4) = left_aligned(address.parse().ok()?);
        let most = if is_ipv4 { 32 } else { 128 };
        let prefix =
            prefix.map_or(Some(most), |prefix| prefix.parse().ok().filter(|prefix| *prefix <= most))?;
        let network = Self { bits, prefix, is_ipv4 };
        Some(Self { bits: network.masked(bits), ..network })
    }

    fn masked(&self, bits: u128) -> u128 {
        bits & u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0)
    }
}

fn left_aligned(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        let networks =
            Networks::parse(" 127.0.0.0/8,::1, 192.0.2.77/24,2001:db8::/32,203.0.113.9", "one").unwrap();
        for (address, contained) in [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("::ffff:127.0.0.1", true),
            ("128.0.0.1", false),
            ("::1", true),
            ("::2", false),
            ("192.0.2.1", true),
            ("192.0.3.1", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("203.0.113.9", true),
            ("203.0.113.8", false),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), contained, "{address}");
        }
        assert_eq!(Networks::parse(" none", "one").unwrap(), Networks::default());
        assert!(!Networks::default().contain("127.0.0.1".parse().unwrap()));
        assert!(Networks::parse("0.0.0.0/0", "one").unwrap().contain("8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for word in
            ["localhost", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.1:80"]
        {
            let refusal = Networks::parse(word, "a proxy").unwrap_err().to_string();
            assert!(refusal.contains(word) && refusal.contains("a proxy"), "{refusal}");
        }
    }
}
