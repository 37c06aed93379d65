//! Normalising an http(s) URI, so that two spellings of one target compare equal.
//!
//! RFC 9449 section 4.3 compares `htu` after the syntax-based and scheme-based normalisation of RFC 3986 sections
//! 6.2.2 and 6.2.3: case of scheme and host, default port, percent-encoding, dot segments, empty path. Tricky bits:
//! `%2F` is not `/` (a reserved character stays encoded), percent-encoding is undone before dot segments are removed
//! (`%2e%2e` is `..`), and a host with user information or percent-encoding is refused rather than guessed at.

use std::net::Ipv6Addr;

/// A URI without query and fragment, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `scheme://host[:port]`
    pub(crate) origin: String,
    /// Starts with `/`.
    pub(crate) path: String,
}

impl Target {
    /// `None` where this is not an absolute http or https URI.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        Some(Self { origin: origin(scheme, authority)?, path: normal_path(path)? })
    }
}

fn origin(scheme: &str, authority: &str) -> Option<String> {
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (host, port) = split_port(authority)?;
    let host = normal_host(host)?;
    match port {
        Some(port) if port != default_port => Some(format!("{scheme}://{host}:{port}")),
        _ => Some(format!("{scheme}://{host}")),
    }
}

/// RFC 3986 section 3.2.3 allows an empty port, which means the default.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons inside the brackets of an IPv6 address are not this one.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    if port.is_empty() {
        return Some((host, None));
    }
    // `parse` alone would take a sign.
    let port = if port.bytes().all(|b| b.is_ascii_digit()) { port.parse().ok()? } else { return None };
    Some((host, Some(port)))
}

fn normal_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (!host.is_empty() && host.bytes().all(plain)).then(|| host.to_ascii_lowercase())
}

/// The path of a URI or request target, without query and fragment, normalised.
pub(crate) fn normal_path(path: &str) -> Option<String> {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (path, _) = path.split_at_checked(end)?;
    if path.is_empty() {
        return Some("/".to_owned());
    }
    if !path.starts_with('/') {
        return None;
    }
    Some(remove_dot_segments(&normal_percent(path)?))
}

/// RFC 3986 section 6.2.2.2: unreserved characters bare, the rest as `%` and upper-case digits.
fn normal_percent(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !byte.is_ascii_graphic() {
                return None;
            }
            out.push(char::from(byte));
            continue;
        }
        let (high, low) = (bytes.next()?, bytes.next()?);
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let decoded = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
        if decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(decoded));
        } else {
            out.extend(['%', char::from(high.to_ascii_uppercase()), char::from(low.to_ascii_uppercase())]);
        }
    }
    Some(out)
}

/// RFC 3986 section 5.2.4, for a path that starts with `/`.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // `/a/.` and `/a/b/..` both are `/a/`.
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
