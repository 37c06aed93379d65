//! The relays that are told of this server.

use super::{Given, Host, is_base, is_loopback};
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use rookery_pds::config::{Relays, given};

/// Reads them. A relay cannot reach a server on localhost unless it runs on the same machine.
pub(super) fn read(given: &Given, host: &Host) -> Result<Relays> {
    let words = given.relay_hosts.as_deref().unwrap_or_default().split(',').map(str::trim);
    let mut origins = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        let url = origin(word)?;
        ensure!(
            *host != Host::Local || is_loopback(&url),
            "the relay {word} cannot reach a server on localhost: set ROOKERY_HOSTNAME to its public name, or leave \
             ROOKERY_RELAY_HOSTS out"
        );
        let origin = url.origin().ascii_serialization();
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    let account_cap = given::account_cap(given.relay_account_cap.as_deref())?;
    Ok(Relays { origins, account_cap })
}

/// An origin, or a bare host: that is one with TLS.
fn origin(word: &str) -> Result<Url> {
    let form = || format!("the relay {word} cannot be used: expected an origin such as https://bsky.network");
    let text = if word.contains("://") { word.to_owned() } else { format!("https://{word}") };
    let url = Url::parse(&text).with_context(form)?;
    ensure!(is_base(&url) && url.path() == "/", form());
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(hosts: &str, cap: Option<&str>, host: &Host) -> Result<Relays> {
        let given = Given {
            relay_hosts: Some(hosts.to_owned()),
            relay_account_cap: cap.map(str::to_owned),
            ..Given::default()
        };
        read(&given, host)
    }

    #[test]
    fn origins_and_bare_hosts_are_taken_once_each() {
        let public = Host::Public("pds.example.com".to_owned());
        let read =
            relays(" bsky.network, https://BSKY.network/,,http://relay.example.com:2470", None, &public);
        let Relays { origins, account_cap } = read.unwrap();
        assert_eq!(origins, ["https://bsky.network", "http://relay.example.com:2470"]);
        assert_eq!(account_cap, 100);
        assert!(relays("", Some("250"), &public).unwrap().origins.is_empty());
    }

    #[test]
    fn what_is_no_relay_is_refused_by_name() {
        let public = Host::Public("pds.example.com".to_owned());
        for word in [
            "wss://bsky.network",
            "https://bsky.network/xrpc",
            "https://a?b",
            "https://me@bsky.network",
            "a b",
        ] {
            let refusal = relays(&format!("https://good.example,{word}"), None, &public).unwrap_err();
            assert!(format!("{refusal:#}").contains(word), "{refusal:#}");
        }
        for cap in ["0", "many", "-1"] {
            assert!(relays("", Some(cap), &public).is_err(), "{cap}");
        }
    }

    #[test]
    fn on_localhost_only_relays_of_this_machine_make_sense() {
        for word in ["http://127.0.0.1:2470", "http://localhost:2470", "http://[::1]:2470"] {
            assert_eq!(relays(word, None, &Host::Local).unwrap().origins, [word]);
        }
        let refusal = relays("bsky.network", None, &Host::Local).unwrap_err().to_string();
        assert!(refusal.contains("bsky.network") && refusal.contains("ROOKERY_HOSTNAME"), "{refusal}");
    }
}
