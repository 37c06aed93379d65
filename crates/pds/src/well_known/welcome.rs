//! `welcome.md`: everything that an agent needs to know, from the live configuration.

use crate::config::{Config, VERSION, limits};
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
    let values: [(&str, String); 18] = [
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
        ("{batch_body}", limits::BATCH_BODY.to_string()),
    ];
    values.iter().fold(include_str!("welcome.md").to_owned(), |text, (name, value)| text.replace(name, value))
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
}
