//! base64url without padding (RFC 7515 section 2) and SHA-256.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// Strict: no padding, no white space, unused trailing bits are zero. One spelling per value.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// As [`decode`], for values of a known length.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
