//! WelcomeMat (version 1.1): agents enroll by signing the terms, and issue their own access tokens.
//!
//! Terms: a *token* (`wm+jwt`) says that the holder of the key `cnf.jkt` has agreed to the terms with hash `tos_hash`
//! at the service `aud`. It is signed by that same key, so it carries no more than the proof it comes with; what makes
//! it an account's token is that the key is enrolled.

mod signup;
mod token;

pub use signup::{MAX_SIGNUP_BYTES, SignupError, SignupRequest};
pub(crate) use token::TYPE;
pub use token::{AccessToken, TokenError, UnverifiedToken};

use crate::encoding;

/// `tos_hash` of terms: the SHA-256 of their exact UTF-8 bytes.
pub fn tos_hash(tos: &[u8]) -> [u8; 32] {
    encoding::sha256(tos)
}

#[cfg(test)]
mod tests;
