//! Public keys: parsing, printing, verifying.

use std::fmt;
use std::hash::{Hash, Hasher};

use k256::ecdsa::signature::Verifier;

use super::{Curve, KeyError, SIGNATURE_LEN, SignatureError, multikey};

/// Bytes of a compressed point.
const COMPRESSED_LEN: usize = 33;
/// Bytes of an uncompressed point.
const UNCOMPRESSED_LEN: usize = 65;

/// A public key, checked to be on its curve. Cloning copies some two hundred bytes and allocates nothing.
#[derive(Clone)]
pub struct PublicKey {
    /// Ready to verify: the point is decompressed once, here.
    point: Point,
    /// The compressed point: the identity of the key, for printing and comparing.
    sec1: [u8; COMPRESSED_LEN],
}

#[derive(Clone, Copy)]
enum Point {
    P256(p256::ecdsa::VerifyingKey),
    K256(k256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Parses `did:key:z…` (secp256k1 or P-256).
    pub fn from_did_key(did_key: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_multikey(multikey::strip_did_key(did_key)?)
    }

    /// Parses `z…` with the curve's multicodec prefix, as in the `publicKeyMultibase` of a `Multikey`.
    pub fn from_multikey(text: &str) -> Result<PublicKey, KeyError> {
        let (curve, point) = multikey::decode(text)?;
        if point.len() != COMPRESSED_LEN {
            return Err(KeyError::NotAPoint(curve));
        }
        PublicKey::from_sec1(curve, &point)
    }

    /// Parses `z…` without a prefix, as the 2019 suites write `publicKeyMultibase` in older DID documents. They mean
    /// uncompressed points; compressed ones occur.
    pub fn from_legacy_multibase(curve: Curve, text: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_sec1(curve, &multikey::decode_multibase(text)?)
    }

    /// Parses a SEC1 point, compressed (tag 2 or 3) or not (tag 4); the x-only form (tag 5) is not for this network.
    pub fn from_sec1(curve: Curve, bytes: &[u8]) -> Result<PublicKey, KeyError> {
        match (bytes.first(), bytes.len()) {
            (Some(2 | 3), COMPRESSED_LEN) | (Some(4), UNCOMPRESSED_LEN) => {}
            _ => return Err(KeyError::NotAPoint(curve)),
        }
        match curve {
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(PublicKey::from),
            Curve::K256 => k256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(PublicKey::from),
        }
        .map_err(|_| KeyError::NotAPoint(curve))
    }

    /// The curve of the key.
    pub fn curve(&self) -> Curve {
        match self.point {
            Point::P256(_) => Curve::P256,
            Point::K256(_) => Curve::K256,
        }
    }

    /// The compressed SEC1 point.
    pub fn as_sec1(&self) -> &[u8; COMPRESSED_LEN] {
        &self.sec1
    }

    /// `did:key:z…`
    pub fn to_did_key(&self) -> String {
        multikey::with_did_key(&self.to_multikey())
    }

    /// `z…` with the curve's multicodec prefix.
    pub fn to_multikey(&self) -> String {
        multikey::encode(self.curve(), &self.sec1)
    }

    /// Checks a compact low-S signature over the SHA-256 of the message.
    pub fn verify(&self, message: &[u8], sig: &[u8]) -> Result<(), SignatureError> {
        if sig.len() != SIGNATURE_LEN {
            return Err(SignatureError::Length(sig.len()));
        }
        match &self.point {
            Point::P256(key) => {
                let sig = p256::ecdsa::Signature::from_slice(sig).map_err(|_| SignatureError::OutOfRange)?;
                check_low_s(sig == sig.normalize_s())?;
                key.verify(message, &sig)
            }
            Point::K256(key) => {
                let sig = k256::ecdsa::Signature::from_slice(sig).map_err(|_| SignatureError::OutOfRange)?;
                check_low_s(sig == sig.normalize_s())?;
                key.verify(message, &sig)
            }
        }
        .map_err(|_| SignatureError::Mismatch)
    }
}

fn check_low_s(low: bool) -> Result<(), SignatureError> {
    if low { Ok(()) } else { Err(SignatureError::HighS) }
}

impl From<p256::ecdsa::VerifyingKey> for PublicKey {
    fn from(key: p256::ecdsa::VerifyingKey) -> PublicKey {
        PublicKey { point: Point::P256(key), sec1: p256::CompressedPoint::from(key).into() }
    }
}

impl From<k256::ecdsa::VerifyingKey> for PublicKey {
    fn from(key: k256::ecdsa::VerifyingKey) -> PublicKey {
        PublicKey { point: Point::K256(key), sec1: k256::CompressedPoint::from(key).into() }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.curve() == other.curve() && self.sec1 == other.sec1
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.curve().hash(state);
        self.sec1.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_did_key())
    }
}
