//! Randomness, from the library that also makes the keys.

use crate::error::{Error, Result};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use data_encoding::BASE64URL_NOPAD;

/// Fills `buffer` with random bytes fit for keys.
pub(crate) fn fill(buffer: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(buffer).map_err(|_| Error::Key("the system gives no randomness".into()))
}

/// A fresh `jti`: 128 random bits.
pub(crate) fn token_id() -> Result<String> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}
