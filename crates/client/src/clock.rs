//! The agent's clock, corrected by what the server's `Date` says when it refuses a proof.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Milliseconds until the next whole second.
pub(crate) fn until_next_second() -> u64 {
    let into = Timestamp::now().subsec_millisecond();
    u64::try_from(1_000 - into).unwrap_or(1_000)
}

/// Unix seconds of an HTTP date (RFC 9110, section 5.6.7, the preferred form).
pub(crate) fn parse_http_date(text: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(text).ok().map(|timestamp| timestamp.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_become_unix_seconds() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
