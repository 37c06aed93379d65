//! Logs go to stderr; stdout is for what was asked for.

use crate::config::LogFormat;
use anyhow::{Context, Result, anyhow};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Starts logging what `filter` lets through.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!(
            "the log filter {filter} cannot be used: expected a level such as info, or info,rookery_pds=debug"
        )
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("cannot start logging: {error}"))
}
