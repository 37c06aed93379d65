//! `welcome.md`: everything that an agent needs to know, from the live configuration.

use crate::config::{Config, VERSION, limits};
use rookery_atproto::data::record::{MAX_RECORD_BYTES, MAX_RECORD_DEPTH};

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
    let values: [(&str, String); 14] = [
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
        ("{batch_body}", limits::BATCH_BODY.to_string()),
    ];
    values.iter().fold(include_str!("welcome.md").to_owned(), |text, (name, value)| text.replace(name, value))
}
