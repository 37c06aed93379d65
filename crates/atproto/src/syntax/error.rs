//! What is wrong with an identifier.

use std::fmt;

/// How much of a refused value an error repeats.
const SHOWN: usize = 80;

/// Text that is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What the text should have been: `handle`, `DID`, …
    pub kind: &'static str,
    /// The text, cut to its first characters when long.
    pub value: String,
    /// The rule it breaks, as an instruction.
    pub reason: &'static str,
}

impl SyntaxError {
    pub(crate) fn new(kind: &'static str, value: &str, reason: &'static str) -> Self {
        let mut shown: String = value.chars().take(SHOWN).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { kind, value: shown, reason }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted with escapes: control characters must not reach logs or terminals.
        write!(f, "invalid {} {:?}: {}", self.kind, self.value, self.reason)
    }
}

impl std::error::Error for SyntaxError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_quotes_the_value_escaped_and_cut() {
        let error = SyntaxError::new("handle", &format!("a\u{0}\n{}", "é".repeat(100)), "do this");
        let message = error.to_string();
        assert!(message.starts_with("invalid handle \"a\\0\\né"), "{message}");
        assert!(message.ends_with("…\": do this"), "{message}");
        assert_eq!(error.value.chars().count(), SHOWN + 1);
    }
}
