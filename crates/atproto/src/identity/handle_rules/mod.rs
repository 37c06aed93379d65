//! Which handles a host gives out: one label under its handle domain.
//!
//! The rules are narrower than the [handle syntax](https://atproto.com/specs/handle): 3 to 63 characters, and no names that
//! visitors would take for the host itself or that mean something in DNS, mail or URLs (see [`is_reserved`]).

mod reserved;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

use crate::syntax::Handle;

const MIN_LABEL: usize = 3;
const MAX_LABEL: usize = 63;

/// Longest handle domain: with the longest label and `_atproto.` before it, a handle still fits a DNS name of 253.
const MAX_DOMAIN: usize = 253 - "_atproto.".len() - MAX_LABEL - 1;

/// Top-level domains that never resolve on the network (handle spec, "Additional Non-Syntax Restrictions"). `.test` is
/// not among them: it is for development.
const DISALLOWED_TLDS: [&str; 8] =
    ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"];

/// Why a domain cannot have handles under it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandleDomainError {
    /// Not a domain name.
    #[error("{0:?} is not a domain name; write it like .example.com")]
    Syntax(String),
    /// Longer than leaves room for a handle.
    #[error("the handle domain has {0} characters, more than {MAX_DOMAIN}")]
    TooLong(usize),
    /// A top-level domain that does not resolve on the network.
    #[error(
        "handles under .{0} do not resolve on the network; use a domain of your own, or .test for development"
    )]
    Disallowed(String),
}

/// Why a handle is not given out. Each message says what to ask for instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandleClaimError {
    /// Too short or too long.
    #[error("the name before {domain} has {found} characters; it may have {MIN_LABEL} to {MAX_LABEL}")]
    Length {
        /// How many it has.
        found: usize,
        /// The domain of this host.
        domain: HandleDomain,
    },
    /// Characters that a label does not have.
    #[error(
        "invalid handle: use the letters a-z, digits and hyphens, not starting or ending with a hyphen, nor with \"xn--\""
    )]
    Invalid,
    /// More than one label, or another domain.
    #[error("this host gives out handles of the form NAME{0}, with no other dot in them")]
    OtherDomain(HandleDomain),
    /// A name that is kept back.
    #[error("the handle name {0:?} is reserved; choose another")]
    Reserved(String),
}

/// The domain under which a host gives out handles, such as `.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleDomain {
    /// In lowercase, with the leading dot.
    suffix: Box<str>,
}

impl HandleDomain {
    /// Takes a domain with or without the leading dot.
    pub fn new(domain: &str) -> Result<HandleDomain, HandleDomainError> {
        let name = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
        if name.len() > MAX_DOMAIN {
            return Err(HandleDomainError::TooLong(name.len()));
        }
        let top_level = name.rsplit('.').next().unwrap_or_default();
        if !name.split('.').all(is_label) || top_level.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(HandleDomainError::Syntax(domain.to_owned()));
        }
        if DISALLOWED_TLDS.contains(&top_level) {
            return Err(HandleDomainError::Disallowed(top_level.to_owned()));
        }
        Ok(HandleDomain { suffix: format!(".{name}").into() })
    }

    /// The domain with its leading dot, as `describeServer` lists it.
    pub fn as_str(&self) -> &str {
        &self.suffix
    }

    /// Whether a handle is one label under this domain, reserved or not.
    pub fn contains(&self, handle: &Handle) -> bool {
        let label = handle.as_str().strip_suffix(&*self.suffix);
        label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }

    /// The handle that `requested` asks for: the name alone, or with this domain; in any case.
    pub fn claim(&self, requested: &str) -> Result<Handle, HandleClaimError> {
        let requested = requested.to_ascii_lowercase();
        let label = requested.strip_suffix(&*self.suffix).unwrap_or(&requested);
        if label.contains('.') {
            return Err(HandleClaimError::OtherDomain(self.clone()));
        }
        // Names in punycode would show as other characters than were asked for.
        if !label.is_empty() && (!is_ldh(label) || label.starts_with("xn--")) {
            return Err(HandleClaimError::Invalid);
        }
        if !(MIN_LABEL..=MAX_LABEL).contains(&label.len()) {
            return Err(HandleClaimError::Length { found: label.len(), domain: self.clone() });
        }
        if is_reserved(label) {
            return Err(HandleClaimError::Reserved(label.to_owned()));
        }
        Handle::parse(&format!("{label}{}", self.suffix)).map_err(|_| HandleClaimError::Invalid)
    }
}

impl fmt::Display for HandleDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffix)
    }
}

/// Whether a name (in lowercase) is kept back.
pub fn is_reserved(label: &str) -> bool {
    reserved::RESERVED.binary_search(&label).is_ok()
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len()) && is_ldh(label)
}

/// Letters, digits and hyphens, no hyphen at either end.
fn is_ldh(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}
