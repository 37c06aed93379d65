//! `rookery.toml`: the same settings, named like the flags with underscores.

use super::Given;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;

const DEFAULT: &str = "rookery.toml";

/// Reads the file at `path`. The default one may be missing, one that was asked for may not.
pub(super) fn load(path: Option<&str>) -> Result<Given> {
    let asked = path.filter(|path| !path.is_empty());
    let path = asked.unwrap_or(DEFAULT);
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && asked.is_none() => return Ok(Given::default()),
        text => text.with_context(|| format!("cannot read the configuration {path}"))?,
    };
    toml::from_str(&text).with_context(|| format!("{path} is not a configuration"))
}
