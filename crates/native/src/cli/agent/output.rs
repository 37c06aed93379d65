//! What the commands print, and their exit codes.

use anyhow::{Error, Result};
use rookery_client::Error as ClientError;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What came of a command, in both forms.
#[derive(Debug)]
pub(super) struct Reply {
    /// For people. Ends without a newline.
    text: String,
    /// For programs.
    json: Value,
}

impl Reply {
    pub(super) fn new(text: impl Into<String>, json: &impl Serialize) -> Result<Self> {
        Ok(Self { text: text.into(), json: serde_json::to_value(json)? })
    }
}

/// Prints a reply or an error: text to stdout or stderr; with `--json` one value to stdout either way.
pub(super) fn print(as_json: bool, outcome: Result<Reply>) -> ExitCode {
    let (text, code) = match (&outcome, as_json) {
        (Ok(reply), true) => (reply.json.to_string(), ExitCode::SUCCESS),
        (Ok(reply), false) => (reply.text.clone(), ExitCode::SUCCESS),
        (Err(error), true) => (error_value(error).to_string(), ExitCode::FAILURE),
        (Err(error), false) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match writeln!(io::stdout().lock(), "{text}") {
        // `| head` has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => code,
    }
}

/// The form of every XRPC error; `error` is the server's own name where it gave one.
fn error_value(error: &Error) -> Value {
    let name = error.chain().find_map(|cause| cause.downcast_ref::<ClientError>()?.xrpc_name());
    json!({ "error": name.unwrap_or("Failed"), "message": format!("{error:#}") })
}

/// JSON for a terminal: C1 controls, which some terminals obey, are escaped like the others.
pub(super) fn terminal_json(value: &Value, pretty: bool) -> String {
    let json = if pretty { format!("{value:#}") } else { value.to_string() };
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() && c != '\n' {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// At most `most` characters, with an ellipsis when there were more.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_json_has_no_control_characters_and_means_the_same() {
        let value = json!({ "text": "a\u{9b}31m\u{7f}\u{1b}é" });
        for pretty in [false, true] {
            let text = terminal_json(&value, pretty);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn an_xrpc_error_keeps_its_name_under_a_context() {
        let error =
            Error::from(ClientError::TermsChanged { origin: "http://localhost".into() }).context("writing");
        assert_eq!(error_value(&error)["error"], "tos_changed");
        assert_eq!(error_value(&anyhow::anyhow!("no"))["error"], "Failed");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("ééé", 2), "éé…");
        assert_eq!(cut("ééé", 3), "ééé");
    }
}
