//! What a request asks of a representation that never changes: only if it is not known already, or only a part of it
//! (RFC 9110, sections 13 and 14).

use http::{HeaderMap, header};
use std::ops::Range;

/// What is to be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// 304: the client has it.
    NotModified,
    /// 200.
    Whole,
    /// 206: these bytes.
    Part(Range<u64>),
    /// 416: there are no such bytes.
    Unsatisfiable,
}

/// Reads `If-None-Match`, `Range` and `If-Range` against the strong `etag` (with its quotes) of something of `size` bytes.
/// Several ranges at once are answered with the whole, as is a `Range` that is not understood.
pub(crate) fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Asked {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|list| list.split(',')).any(|tag| is_weakly(tag.trim(), etag)) {
        return Asked::NotModified;
    }
    let same = headers.get(header::IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    range.filter(|_| same).and_then(|text| part(text, size)).unwrap_or(Asked::Whole)
}

/// `If-None-Match` compares weakly, so that a tag which a proxy has weakened counts.
fn is_weakly(tag: &str, etag: &str) -> bool {
    tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
}

fn part(text: &str, size: u64) -> Option<Asked> {
    let (unit, spec) = text.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return None,
    };
    Some(if range.is_empty() { Asked::Unsatisfiable } else { Asked::Part(range) })
}

/// Digits only: no sign, no space. More than fits is as good as the most.
fn position(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(headers: &[(header::HeaderName, &'static str)]) -> Asked {
        let map =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        asked(&map, "\"x\"", 10)
    }

    #[test]
    fn one_range_is_a_part_of_what_there_is() {
        let range = |text| of(&[(header::RANGE, text)]);
        for (text, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=7-", 7..10),
            ("bytes=7-99", 7..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("BYTES= 0-99999999999999999999999", 0..10),
        ] {
            assert_eq!(range(text), Asked::Part(expected), "{text}");
        }
        for text in ["bytes=10-", "bytes=10-11", "bytes=99999999999999999999999-", "bytes=-0"] {
            assert_eq!(range(text), Asked::Unsatisfiable, "{text}");
        }
        for text in
            ["bytes=0-1,3-4", "bytes=5-2", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=+1-2", "0-1"]
        {
            assert_eq!(range(text), Asked::Whole, "{text}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for tag in ["\"x\"", "W/\"x\"", "\"y\", \"x\"", "*"] {
            assert_eq!(
                of(&[(header::IF_NONE_MATCH, tag), (header::RANGE, "bytes=0-1")]),
                Asked::NotModified,
                "{tag}"
            );
        }
        for tag in ["x", "\"y\"", ""] {
            assert_eq!(of(&[(header::IF_NONE_MATCH, tag)]), Asked::Whole, "{tag}");
        }
    }

    #[test]
    fn a_part_of_something_else_is_not_asked_for() {
        let with = |tag| of(&[(header::IF_RANGE, tag), (header::RANGE, "bytes=0-1")]);
        assert_eq!(with("\"x\""), Asked::Part(0..2));
        assert_eq!(with("W/\"x\""), Asked::Whole);
        assert_eq!(with("Sat, 29 Oct 1994 19:43:31 GMT"), Asked::Whole);
    }
}
