//! Secret keys: signing.

use std::fmt;

use ecdsa::hazmat::sign_prehashed_rfc6979;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{Curve, KeyError, PublicKey, SIGNATURE_LEN};

/// Bytes of a secret scalar.
const SECRET_LEN: usize = 32;

/// A secret key. It is wiped from memory when dropped, and never printed.
///
/// The public key is derived when it is asked for, and not kept: deriving costs as much as signing, and a server opens a
/// key for each commit it signs.
pub struct SecretKey(Scalar);

enum Scalar {
    P256(Zeroizing<p256::NonZeroScalar>),
    K256(Zeroizing<k256::NonZeroScalar>),
}

impl SecretKey {
    /// Takes 32 big-endian bytes, which for a new key come from a secure random source. Zero and numbers not below the
    /// order of the curve are refused; drawing again is the right answer (P-256 refuses one draw in four billion).
    pub fn from_bytes(curve: Curve, bytes: &[u8; SECRET_LEN]) -> Result<SecretKey, KeyError> {
        let scalar = match curve {
            Curve::P256 => {
                p256::NonZeroScalar::try_from(bytes.as_slice()).map(Zeroizing::new).map(Scalar::P256)
            }
            Curve::K256 => {
                k256::NonZeroScalar::try_from(bytes.as_slice()).map(Zeroizing::new).map(Scalar::K256)
            }
        };
        scalar.map(SecretKey).map_err(|_| KeyError::SecretOutOfRange(curve))
    }

    /// The scalar, 32 big-endian bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SECRET_LEN]> {
        let mut scalar = match &self.0 {
            Scalar::P256(scalar) => scalar.to_bytes(),
            Scalar::K256(scalar) => scalar.to_bytes(),
        };
        let bytes = Zeroizing::new(scalar.into());
        scalar.zeroize();
        bytes
    }

    /// The curve of the key.
    pub fn curve(&self) -> Curve {
        match self.0 {
            Scalar::P256(_) => Curve::P256,
            Scalar::K256(_) => Curve::K256,
        }
    }

    /// The public key that goes with it. Costs as much as a signature.
    pub fn public(&self) -> PublicKey {
        match &self.0 {
            Scalar::P256(scalar) => {
                PublicKey::from(p256::ecdsa::VerifyingKey::from(p256::PublicKey::from_secret_scalar(scalar)))
            }
            Scalar::K256(scalar) => {
                PublicKey::from(k256::ecdsa::VerifyingKey::from(k256::PublicKey::from_secret_scalar(scalar)))
            }
        }
    }

    /// Signs the SHA-256 of the message: compact, low-S, deterministic (RFC 6979).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let hash = Sha256::digest(message);
        match &self.0 {
            Scalar::P256(scalar) => {
                let (sig, _) = sign_prehashed_rfc6979::<p256::NistP256, Sha256>(scalar, &hash, &[]);
                sig.normalize_s().to_bytes().into()
            }
            Scalar::K256(scalar) => {
                let (sig, _) = sign_prehashed_rfc6979::<k256::Secp256k1, Sha256>(scalar, &hash, &[]);
                sig.normalize_s().to_bytes().into()
            }
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(for {})", self.public().to_did_key())
    }
}
