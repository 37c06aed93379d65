//! The service's origin: what `aud` and `htu` are built from.
//!
//! An agent may have been handed any URL of the service (an invite, a page). Everything of WelcomeMat lives at
//! the root of its origin, so that only the origin counts; the URL itself can travel as `ref`.

use crate::error::{Error, Result};
use reqwest::Url;
use std::fmt;

/// Scheme, host and port of a service, with default ports left out and the host in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    base: Url,
    text: String,
}

impl Origin {
    /// Takes the origin of `url`. Only `http` and `https` without a user name are accepted; a bare host name
    /// means `https`, except for loopback names, which mean `http`.
    pub fn parse(url: &str) -> Result<Self> {
        let refuse =
            |problem: &str| Error::Url { url: crate::error::clean(url), problem: problem.to_owned() };
        let trimmed = url.trim();
        let parsed = if trimmed.contains("://") {
            Url::parse(trimmed)
        } else {
            let bare = Url::parse(&format!("http://{trimmed}"));
            match bare {
                Ok(bare) if is_loopback(&bare) => Ok(bare),
                _ => Url::parse(&format!("https://{trimmed}")),
            }
        };
        let mut base =
            parsed.map_err(|error| refuse(&format!("{error}. Give one such as https://pds.example.com")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(refuse("it must start with http:// or https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refuse("leave out the user name and password; the agent's key is what signs in"));
        }
        base.set_path("/");
        base.set_query(None);
        base.set_fragment(None);
        let text = base.origin().ascii_serialization();
        Ok(Self { base, text })
    }

    /// `https://host[:port]`, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for `localhost`, `127.0.0.0/8` and `[::1]`: no proxy stands in between.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// True when the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The URL of `path` (which starts with a slash) at this origin.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare == "localhost" || bare.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_url_of_the_service_gives_its_normalised_origin() {
        for (given, expected) in [
            ("https://PDS.Example.com:443/join?x=1#invite", "https://pds.example.com"),
            ("http://localhost:2583/", "http://localhost:2583"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:2583", "http://[::1]:2583"),
            ("pds.example.com", "https://pds.example.com"),
            ("localhost:2583", "http://localhost:2583"),
            (" https://pds.example.com:8443 ", "https://pds.example.com:8443"),
        ] {
            assert_eq!(Origin::parse(given).unwrap().as_str(), expected, "{given}");
        }
    }

    #[test]
    fn what_is_no_service_is_refused_with_a_reason() {
        for given in ["", "ftp://example.com", "https://user:secret@example.com", "https://", "data://x y"] {
            assert!(matches!(Origin::parse(given), Err(Error::Url { .. })), "{given}");
        }
    }

    #[test]
    fn paths_are_appended_without_a_double_slash() {
        let origin = Origin::parse("http://localhost:2583").unwrap();
        assert_eq!(origin.url("/api/signup").as_str(), "http://localhost:2583/api/signup");
        assert!(origin.is_loopback() && !origin.is_https());
    }
}
