//! `welcome.md`: everything that an agent needs to know, from the live configuration.

use crate::config::{Config, Rate, RateLimits, VERSION, limits};
use rookery_atproto::data::record::{MAX_RECORD_BYTES, MAX_RECORD_DEPTH};
use std::time::Duration;

/// Fills the template in.
pub(super) fn render(config: &Config) -> String {
    let domain = config.handle_domain.as_str();
    let directory = match &config.plc {
        crate::config::PlcChoice::Embedded => {
            format!(
                "{} (a development directory inside this server: DIDs made here are known only here)",
                config.public_url
            )
        }
        crate::config::PlcChoice::Url(url) => url.clone(),
    };
    let values: [(&str, String); 19] = [
        ("{version}", VERSION.to_owned()),
        ("{origin}", config.public_url.clone()),
        ("{domain}", domain.to_owned()),
        ("{server_did}", config.service_did.to_string()),
        ("{directory}", directory),
        ("{skew}", limits::CLOCK_SKEW.to_string()),
        ("{record_bytes}", MAX_RECORD_BYTES.to_string()),
        ("{record_depth}", MAX_RECORD_DEPTH.to_string()),
        ("{writes}", limits::WRITES.to_string()),
        ("{blocks}", limits::BLOCKS.to_string()),
        ("{commit_bytes}", limits::COMMIT_BLOCKS.to_string()),
        ("{json_body}", limits::JSON_BODY.to_string()),
        ("{record_body}", limits::RECORD_BODY.to_string()),
        ("{blob_limit}", config.blobs.limit.to_string()),
        ("{blob_grace}", span(config.blobs.grace)),
        ("{unreferenced_bytes}", limits::UNREFERENCED_BYTES.to_string()),
        ("{commit_blobs}", limits::COMMIT_BLOBS.to_string()),
        ("{limits}", told(&config.rates)),
        ("{batch_body}", limits::BATCH_BODY.to_string()),
    ];
    values.iter().fold(include_str!("welcome.md").to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The rates, a line each.
fn told(rates: &RateLimits) -> String {
    let lines: Vec<String> = [
        (&rates.writes, "points for the writes of an account; a create costs 3, an update 2, a delete or any other procedure 1"),
        (&rates.uploads, "uploads of an account"),
        (&rates.signups, "enrollments from an address"),
        (&rates.reads, "requests from an address that are not writes"),
        (&rates.exports, "`getRepo` from an address"),
        (&rates.failures, "failed authentications from an address"),
    ]
    .into_iter()
    .filter(|(rates, _)| !rates.is_empty())
    .map(|(rates, what)| format!("- {what}: {}", rates.iter().map(rate).collect::<Vec<_>>().join(", ")))
    .collect();
    if lines.is_empty() {
        return "There are no limits on how often you ask.".to_owned();
    }
    format!(
        "{}\n\nAnswers say in `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds since 1970) how you stand with the\n\
         limit you are closest to. A batch that needs more points than are left is refused whole and takes one.",
        lines.join("\n")
    )
}

fn rate(rate: &Rate) -> String {
    format!("{} in {}", rate.points, span(rate.window))
}

/// A time in the largest unit that it is whole in.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_whole_units() {
        let told = [6 * 3_600, 3_600, 90 * 60, 60, 61, 1].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(told, ["6 hours", "1 hour", "90 minutes", "1 minute", "61 seconds", "1 second"]);
    }

    #[test]
    fn limits_are_told_as_they_are_configured() {
        let rate = |points, seconds| Rate { points, window: Duration::from_secs(seconds) };
        let rates = RateLimits { reads: vec![rate(7, 60), rate(9, 86_400)], ..RateLimits::default() };
        let told_rates = told(&rates);
        assert!(
            told_rates.starts_with(
                "- requests from an address that are not writes: 7 in 1 minute, 9 in 24 hours\n"
            )
        );
        assert!(!told_rates.contains("uploads"));
        assert!(told(&RateLimits::default()).contains("no limits"));
    }
}
