//! Query parameters, parsed strictly: bad percent-encoding, bad UTF-8 and a parameter given twice are refused.

use crate::error::{Error, Result, invalid_request};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The longest query string read, in bytes. A DID, a collection, a record key and a CID fit many times over.
const MAX_QUERY: usize = 8 * 1024;

/// The parameters of one request.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Parses the query of a request.
    pub(crate) fn of(parts: &Parts) -> Result<Self> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }

    fn parse(query: &str) -> Result<Self> {
        if query.len() > MAX_QUERY {
            return Err(Error::new(
                http::StatusCode::URI_TOO_LONG,
                "InvalidRequest",
                format!("The query is longer than {MAX_QUERY} bytes."),
            ));
        }
        let mut params: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            if params.iter().any(|(known, _)| *known == name) {
                return Err(invalid_request(format!("The parameter {name:?} is given more than once.")));
            }
            params.push((name, decode(value)?));
        }
        Ok(Self(params))
    }

    /// The text of a parameter, empty or not.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The text of a parameter; empty counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|text| !text.is_empty())
    }

    /// A parameter that must be there and be of its type.
    pub(crate) fn required<T: FromStr>(&self, name: &str) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        self.optional(name)?.ok_or_else(|| invalid_request(format!("The parameter {name:?} is required.")))
    }

    /// A parameter that must be of its type when it is there.
    pub(crate) fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|error| invalid_request(format!("The parameter {name:?} is wrong: {error}")))
            })
            .transpose()
    }

    /// A count within its lexicon's range.
    pub(crate) fn limit(&self, name: &str, range: RangeInclusive<i64>, default: i64) -> Result<i64> {
        let Some(limit) = self.optional(name)? else { return Ok(default) };
        if !range.contains(&limit) {
            return Err(invalid_request(format!(
                "The parameter {name:?} must be from {} to {}, not {limit}.",
                range.start(),
                range.end()
            )));
        }
        Ok(limit)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.optional(name)?.unwrap_or(false))
    }
}

fn decode(text: &str) -> Result<String> {
    let broken = || {
        invalid_request(
            "The query is not well-formed: every % needs two hex digits, and the bytes must be UTF-8.",
        )
    };
    let plus_is_space = text.replace('+', " ");
    let bytes = plus_is_space.as_bytes();
    let escapes_well_formed = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        [at + 1, at + 2].into_iter().all(|digit| bytes.get(digit).is_some_and(u8::is_ascii_hexdigit))
    });
    if !escapes_well_formed {
        return Err(broken());
    }
    Ok(percent_decode_str(&plus_is_space).decode_utf8().map_err(|_| broken())?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_strictly() {
        let params = Params::parse("repo=did%3Aplc%3Aabc&limit=5&reverse=true&x=a+b").unwrap();
        assert_eq!(params.text("repo"), Some("did:plc:abc"));
        assert_eq!(params.text("x"), Some("a b"));
        assert_eq!(params.limit("limit", 1..=100, 50).unwrap(), 5);
        assert!(params.flag("reverse").unwrap());
        assert!(!params.flag("other").unwrap());
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", &"a".repeat(MAX_QUERY + 1)] {
            assert!(Params::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        for bad in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=99999999999999999999"] {
            assert!(Params::parse(bad).unwrap().limit("limit", 1..=100, 50).is_err(), "{bad}");
        }
        assert_eq!(Params::parse("limit=").unwrap().limit("limit", 1..=100, 50).unwrap(), 50);
    }
}
