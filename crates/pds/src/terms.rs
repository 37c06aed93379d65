//! The terms of service that agents sign: text and its hash.

use sha2::{Digest, Sha256};

/// The terms that are used when the operator gives none.
pub const BUILT_IN: &str = include_str!("terms.txt");

/// The current terms. What agents sign and hash are the exact bytes of `text`.
#[derive(Debug)]
pub struct Terms {
    /// Served at `/tos`.
    pub text: String,
    /// SHA-256 of `text`.
    pub hash: [u8; 32],
}

impl Terms {
    /// Takes the text and computes its hash.
    pub fn new(text: String) -> Self {
        let hash = Sha256::digest(text.as_bytes()).into();
        Self { text, hash }
    }
}
