//! Secret keys: signing.

use std::fmt;

use k256::ecdsa::signature::Signer;
use zeroize::{Zeroize, Zeroizing};

use super::{Curve, KeyError, PublicKey, SIGNATURE_LEN};

/// Bytes of a secret scalar.
const SECRET_LEN: usize = 32;

/// A secret key. It is wiped from memory when dropped, and never printed.
pub struct SecretKey {
    /// Parsed once; each scalar wipes itself on drop.
    scalar: Scalar,
    /// Derived once, since deriving costs as much as signing.
    public: PublicKey,
}

enum Scalar {
    P256(p256::ecdsa::SigningKey),
    K256(k256::ecdsa::SigningKey),
}

impl SecretKey {
    /// Takes 32 big-endian bytes, which for a new key come from a secure random source. Zero and numbers not below the
    /// order of the curve are refused; drawing again is the right answer (P-256 refuses one draw in four billion).
    pub fn from_bytes(curve: Curve, bytes: &[u8; SECRET_LEN]) -> Result<SecretKey, KeyError> {
        let out_of_range = |_| KeyError::SecretOutOfRange(curve);
        Ok(match curve {
            Curve::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(bytes).map_err(out_of_range)?;
                SecretKey { public: PublicKey::from(*key.verifying_key()), scalar: Scalar::P256(key) }
            }
            Curve::K256 => {
                let key = k256::ecdsa::SigningKey::from_slice(bytes).map_err(out_of_range)?;
                SecretKey { public: PublicKey::from(*key.verifying_key()), scalar: Scalar::K256(key) }
            }
        })
    }

    /// The scalar, 32 big-endian bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SECRET_LEN]> {
        let mut scalar = match &self.scalar {
            Scalar::P256(key) => key.to_bytes(),
            Scalar::K256(key) => key.to_bytes(),
        };
        let bytes = Zeroizing::new(scalar.into());
        scalar.zeroize();
        bytes
    }

    /// The curve of the key.
    pub fn curve(&self) -> Curve {
        self.public.curve()
    }

    /// The public key that goes with it.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// Signs the SHA-256 of the message: compact, low-S, deterministic (RFC 6979).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        match &self.scalar {
            Scalar::P256(key) => {
                let sig: p256::ecdsa::Signature = key.sign(message);
                sig.normalize_s().to_bytes().into()
            }
            Scalar::K256(key) => {
                let sig: k256::ecdsa::Signature = key.sign(message);
                sig.normalize_s().to_bytes().into()
            }
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(for {})", self.public.to_did_key())
    }
}
