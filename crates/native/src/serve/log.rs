//! Logs go to stderr; stdout is for what was asked for.

use anyhow::{Context, Result, anyhow};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Starts logging what `filter` lets through.
pub(super) fn start(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!(
            "the log filter {filter} cannot be used: expected a level such as info, or info,rookery_pds=debug"
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow!("cannot start logging: {error}"))
}
