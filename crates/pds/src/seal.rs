//! Private keys at rest: sealed with XChaCha20-Poly1305 under the master key, which is never in the database.
//!
//! A sealed secret is `nonce (24 bytes) || ciphertext || tag (16 bytes)`. What it belongs to (the account's DID, the secret's
//! name) is bound as associated data, so that a row moved elsewhere does not open.

use crate::error::{Error, internal};
use crate::ports::{Entropy, EntropyError};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rookery_atproto::crypto::{Curve, SecretKey};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE: usize = 24;

/// Seals and opens secrets.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
}

/// A secret that does not open: another master key, or the row was changed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the secret of {0} does not open: the master key is not the one it was sealed under, or it was altered"
)]
pub(crate) struct SealBroken(String);

impl Sealer {
    /// Under `master_key`.
    pub(crate) fn new(master_key: &[u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(master_key.into()) }
    }

    /// Seals `secret` for `owner`.
    pub(crate) fn seal(
        &self,
        entropy: &dyn Entropy,
        owner: &str,
        secret: &[u8],
    ) -> Result<Vec<u8>, EntropyError> {
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce)?;
        let body = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: owner.as_bytes() })
            .map_err(|error| EntropyError(error.to_string()))?;
        Ok([nonce.as_slice(), &body].concat())
    }

    /// Opens what [`seal`](Self::seal) sealed for `owner`.
    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
        let broken = || SealBroken(owner.to_owned());
        let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: owner.as_bytes() })
            .map(Zeroizing::new)
            .map_err(|_| broken())
    }

    /// Opens a secp256k1 key.
    pub(crate) fn open_key(&self, owner: &str, sealed: &[u8]) -> Result<SecretKey, Error> {
        let bytes = self.open(owner, sealed).map_err(internal)?;
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(internal)?;
        SecretKey::from_bytes(Curve::K256, bytes).map_err(internal)
    }
}

/// The secp256k1 key of a name under a master key: HKDF-SHA256 (RFC 5869) without a salt. It never changes, so neither may this.
pub(crate) fn derive_key(master_key: &[u8; 32], name: &str) -> Result<SecretKey, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    let derivation = Hkdf::<Sha256>::new(None, master_key);
    derivation.expand(name.as_bytes(), bytes.as_mut_slice()).map_err(|error| internal(error.to_string()))?;
    // One name in 2^127 gives no key.
    SecretKey::from_bytes(Curve::K256, &bytes).map_err(internal)
}

/// A new secp256k1 key and its bytes. Random bytes that are no key (one in 2^127) are drawn again.
pub(crate) fn generate_key(entropy: &dyn Entropy) -> Result<SecretKey, EntropyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    for _ in 0..4 {
        entropy.fill(bytes.as_mut())?;
        if let Ok(key) = SecretKey::from_bytes(Curve::K256, &bytes) {
            return Ok(key);
        }
    }
    Err(EntropyError("random bytes were no secp256k1 key four times in a row".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(std::sync::atomic::AtomicU8);
    impl Entropy for Counter {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            Ok(())
        }
    }

    #[test]
    fn a_sealed_secret_opens_for_its_owner_under_its_key_only() {
        let entropy = Counter(1.into());
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(&entropy, "did:plc:a", b"secret").unwrap();
        assert_eq!(sealer.open("did:plc:a", &sealed).unwrap().as_slice(), b"secret");
        assert!(sealer.open("did:plc:b", &sealed).is_err());
        assert!(Sealer::new(&[8; 32]).open("did:plc:a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(sealer.open("did:plc:a", &altered).is_err(), "byte {at}");
        }
        assert!(sealer.open("did:plc:a", &sealed[..10]).is_err());
    }

    #[test]
    fn a_derived_key_is_hkdf_sha256_of_the_master_key_and_its_name() {
        let key = derive_key(&[7; 32], "plc-rotation-key").unwrap();
        let hex = data_encoding::HEXLOWER.encode(key.to_bytes().as_slice());
        assert_eq!(hex, "62f24216c844fee1ecb4b4d05ad2fbd7b51eb566ad152454c94f7cf8d3e7ca0d");
        for other in [derive_key(&[7; 32], "another"), derive_key(&[8; 32], "plc-rotation-key")] {
            assert_ne!(*other.unwrap().to_bytes(), *key.to_bytes());
        }
    }

    #[test]
    fn sealing_the_same_secret_twice_gives_different_bytes() {
        let entropy = Counter(1.into());
        let sealer = Sealer::new(&[7; 32]);
        assert_ne!(sealer.seal(&entropy, "x", b"s").unwrap(), sealer.seal(&entropy, "x", b"s").unwrap());
    }

    #[test]
    fn a_generated_key_signs_and_seals() {
        let entropy = Counter(1.into());
        let key = generate_key(&entropy).unwrap();
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(&entropy, "o", key.to_bytes().as_slice()).unwrap();
        assert_eq!(sealer.open_key("o", &sealed).unwrap().public(), key.public());
    }
}
