//! Decentralized identifiers (spec: did, "DID Identifier Syntax").

use super::newtype::checked_text;

/// The longest DID the protocol allows.
const MAX_BYTES: usize = 2048;

checked_text! {
    /// A DID of any method, such as `did:plc:ewvi7nxzyoun6zhxrhs64oiz`: the permanent name of an account.
    Did, "DID"
}

impl Did {
    /// The method: `plc`, `web`, …
    #[must_use]
    pub fn method(&self) -> &str {
        self.parts().0
    }

    /// What follows the method.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.strip_prefix("did:").and_then(|rest| rest.split_once(':')).unwrap_or_default()
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err("a DID has at most 2048 characters");
    }
    let (method, identifier) = text
        .strip_prefix("did:")
        .and_then(|rest| rest.split_once(':'))
        .ok_or("write it as did:METHOD:IDENTIFIER, in lowercase up to the identifier")?;
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err("the method (after did:) is one or more lowercase letters");
    }
    if identifier.is_empty() || identifier.ends_with([':', '%']) {
        return Err("the identifier must not be empty or end in `:` or `%`");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:%-".contains(&byte);
    if !identifier.bytes().all(allowed) {
        return Err("the identifier may hold letters, digits and `. _ : % -` only");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_did_knows_its_method_and_identifier() {
        let did = Did::parse("did:web:localhost%3A1234").unwrap();
        assert_eq!((did.method(), did.identifier()), ("web", "localhost%3A1234"));
    }
}
