//! Namespaced identifiers: names of record types and methods (spec: nsid).

use super::handle::is_label;
use super::newtype::checked_text;

/// The longest NSID. The spec also bounds the domain alone to 253 characters, but its test vectors and all known
/// implementations accept longer ones within the whole length, and so must who reads their repositories.
const MAX_BYTES: usize = 317;
const MAX_NAME: usize = 63;

checked_text! {
    /// An NSID such as `com.example.fooBar`: a domain in reverse order and a name.
    ///
    /// Kept as written; the spec asks to tell NSIDs apart by case, though nobody may publish two that differ only in it.
    Nsid, "NSID"
}

impl Nsid {
    /// The domain in reverse order: `com.example`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(authority, _)| authority)
    }

    /// The last segment: `fooBar`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, name)| name)
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err("an NSID has at most 317 characters");
    }
    let (authority, name) = text
        .rsplit_once('.')
        .filter(|(authority, _)| authority.contains('.'))
        .ok_or("an NSID has at least three segments separated by dots, like com.example.fooBar")?;
    if !authority.split('.').all(is_label) {
        return Err("each segment of the domain has 1 to 63 ASCII letters, digits or inner hyphens");
    }
    if authority.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("the first segment must not start with a digit");
    }
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("the last segment (the name) has 1 to 63 ASCII letters or digits");
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("the last segment (the name) must not start with a digit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nsid_knows_its_authority_and_name() {
        let nsid = Nsid::parse("com.atproto.sync.getRecord").unwrap();
        assert_eq!((nsid.authority(), nsid.name()), ("com.atproto.sync", "getRecord"));
    }
}
