//! Forms that are only recognised, never taken apart: URIs and CIDs of any kind as text.

const MAX_URI_BYTES: usize = 8192;
const MAX_SCHEME: usize = 80;

/// Whether `text` is a URI of any scheme (spec: lexicon, "uri"): a scheme, a colon and visible ASCII characters.
#[must_use]
pub fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    text.len() <= MAX_URI_BYTES
        && scheme.len() <= MAX_SCHEME
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `text` looks like a CID in any encoding and with any hash (spec: lexicon, "cid"), but not of version 0.
/// [`Cid`](crate::data::Cid) is far stricter.
#[must_use]
pub fn is_cid_syntax(text: &str) -> bool {
    (8..=256).contains(&text.len())
        && !text.starts_with("Qm")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=".contains(&byte))
}
