//! Handles: domain names as names of accounts (spec: handle, "Handle Identifier Syntax").

use super::SyntaxError;
use super::newtype::checked_text;

/// The longest handle the protocol allows.
const MAX_BYTES: usize = 253;
const MAX_LABEL: usize = 63;

checked_text! { @type
    /// A handle such as `alice.example.com`, always in lowercase.
    Handle
}

impl Handle {
    /// Checks `text` against the syntax of a handle and lowercases it.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        match check(text) {
            Ok(()) => Ok(Self(text.to_ascii_lowercase().into())),
            Err(reason) => Err(SyntaxError::new("handle", text, reason)),
        }
    }
}

/// Whether `label` is one label of a host name: letters, digits and inner hyphens.
pub(crate) fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err("a handle has at most 253 characters");
    }
    let (_, top) = text
        .rsplit_once('.')
        .ok_or("a handle has at least two labels separated by a dot, like alice.example.com")?;
    if !text.split('.').all(is_label) {
        return Err(
            "each label has 1 to 63 ASCII letters, digits or hyphens and neither starts nor ends with a hyphen",
        );
    }
    if top.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("the last label must not start with a digit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_lowercased() {
        assert_eq!(Handle::parse("XX.LCS.mit.EDU").unwrap().as_str(), "xx.lcs.mit.edu");
    }
}
