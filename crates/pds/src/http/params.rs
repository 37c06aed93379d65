//! Query parameters, parsed strictly: bad percent-encoding and bad UTF-8 are refused, and so is a parameter given twice
//! where its lexicon has no array.

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
        Self::parse(parts.uri.query().unwrap_or_default(), None)
    }

    /// Parses the query of a request in which `name` is an array: the parameter is given once for each element.
    pub(crate) fn with_array(parts: &Parts, name: &str) -> Result<Self> {
        Self::parse(parts.uri.query().unwrap_or_default(), Some(name))
    }

    fn parse(query: &str, array: Option<&str>) -> Result<Self> {
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
            if array != Some(name.as_str()) && params.iter().any(|(known, _)| *known == name) {
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

    /// The elements of an array, at least one and at most `most`.
    pub(crate) fn array<T: FromStr>(&self, name: &str, most: usize) -> Result<Vec<T>>
    where
        T::Err: std::fmt::Display,
    {
        let texts = || self.0.iter().filter(|(known, value)| known == name && !value.is_empty());
        match texts().count() {
            0 => Err(missing(name)),
            count if count > most => Err(invalid_request(format!(
                "The parameter {name:?} is given {count} times, at most {most} are taken. Ask for the rest in another request."
            ))),
            _ => texts().map(|(_, text)| parse(name, text)).collect(),
        }
    }

    /// A parameter that must be there and be of its type.
    pub(crate) fn required<T: FromStr>(&self, name: &str) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        self.optional(name)?.ok_or_else(|| missing(name))
    }

    /// A parameter that must be of its type when it is there.
    pub(crate) fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        self.text(name).map(|text| parse(name, text)).transpose()
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

    /// A cursor that is the number of the last row of the page before; 0 without one.
    pub(crate) fn row_cursor(&self) -> Result<i64> {
        let Some(cursor) = self.text("cursor") else { return Ok(0) };
        cursor.parse().ok().filter(|after| (0..1 << 53).contains(after)).ok_or_else(|| {
            invalid_request("The cursor is not one that this endpoint gave. Start without one.")
        })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.optional(name)?.unwrap_or(false))
    }
}

fn parse<T: FromStr>(name: &str, text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| invalid_request(format!("The parameter {name:?} is wrong: {error}")))
}

fn missing(name: &str) -> Error {
    invalid_request(format!("The parameter {name:?} is required."))
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

    fn parsed(query: &str) -> Result<Params> {
        Params::parse(query, None)
    }

    #[test]
    fn parameters_are_decoded_strictly() {
        let params = parsed("repo=did%3Aplc%3Aabc&limit=5&reverse=true&x=a+b").unwrap();
        assert_eq!(params.text("repo"), Some("did:plc:abc"));
        assert_eq!(params.text("x"), Some("a b"));
        assert_eq!(params.limit("limit", 1..=100, 50).unwrap(), 5);
        assert!(params.flag("reverse").unwrap());
        assert!(!params.flag("other").unwrap());
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", &"a".repeat(MAX_QUERY + 1)] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        for bad in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=99999999999999999999"] {
            assert!(parsed(bad).unwrap().limit("limit", 1..=100, 50).is_err(), "{bad}");
        }
        assert_eq!(parsed("limit=").unwrap().limit("limit", 1..=100, 50).unwrap(), 50);
    }

    #[test]
    fn only_an_array_may_be_given_more_than_once() {
        let params = Params::parse("n=1&one=x&n=2&n=&n=1", Some("n")).unwrap();
        assert_eq!(params.array::<u8>("n", 3).unwrap(), [1, 2, 1]);
        assert!(params.array::<u8>("n", 2).is_err(), "over its bound");
        assert!(params.array::<u8>("m", 3).is_err(), "required");
        for bad in ["n=1&n=x", "n=1&n=256"] {
            assert!(Params::parse(bad, Some("n")).unwrap().array::<u8>("n", 3).is_err(), "{bad}");
        }
        assert!(Params::parse("n=1&one=x&one=y", Some("n")).is_err());
    }
}
