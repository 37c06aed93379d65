//! Keys and signatures: secp256k1 and P-256, the two curves of the network.
//!
//! Everything here follows the [cryptography spec](https://atproto.com/specs/cryptography).
//!
//! *Terms.* A **multikey** is `z` + base58btc of a two-byte curve prefix and the 33-byte compressed point; a **did:key** is
//! `did:key:` + that. A **compact** signature is `r` and `s`, 32 bytes each.
//!
//! *Tricky bits.*
//! - For every signature `(r, s)` a second one, `(r, n - s)`, verifies as well. Only the one with the smaller `s` ("low-S") is
//!   accepted, on both curves; otherwise anyone could change a commit's bytes, and so its CID, without the key.
//! - Base58 decoding is quadratic, so that text is refused by length before it is decoded.
//! - Keys are parsed once: a [`PublicKey`] holds the point, a [`SecretKey`] the scalar.

mod multikey;
mod public_key;
mod secret_key;
#[cfg(test)]
mod tests;

pub use multikey::MAX_MULTIBASE_LEN;
pub(crate) use multikey::is_did_key_syntax;
pub use public_key::PublicKey;
pub use secret_key::SecretKey;

use thiserror::Error;

/// Bytes of a compact signature.
pub const SIGNATURE_LEN: usize = 64;

/// An elliptic curve of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256, also known as secp256r1; JOSE calls its signatures ES256.
    P256,
    /// secp256k1; JOSE calls its signatures ES256K.
    K256,
}

/// Why bytes or text are not a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The `did:key:` in front is missing.
    #[error("a did:key starts with \"did:key:\"")]
    NotDidKey,
    /// The `z` of base58btc is missing.
    #[error("a multibase key starts with \"z\" (base58btc)")]
    NotBase58Btc,
    /// More text than any key needs.
    #[error("the key is {0} characters long, more than {MAX_MULTIBASE_LEN}")]
    TooLong(usize),
    /// A character outside the base58btc alphabet.
    #[error("the key is not base58btc after its \"z\"")]
    Base58,
    /// A multikey of a curve that is not used here.
    #[error("unsupported key type: the key is neither secp256k1 nor P-256")]
    UnsupportedCurve,
    /// A point of the wrong length, or not on the curve.
    #[error("the key is not a point on {0:?}")]
    NotAPoint(Curve),
    /// A secret scalar that is zero or not below the order of the curve.
    #[error("the secret key is out of range for {0:?}")]
    SecretOutOfRange(Curve),
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not 64 bytes; DER-encoded signatures end up here.
    #[error("a signature is {SIGNATURE_LEN} bytes (r and s, not DER), this one is {0}")]
    Length(usize),
    /// `r` or `s` is zero or not below the order of the curve.
    #[error("the signature's r or s is out of range")]
    OutOfRange,
    /// The malleable twin of a proper signature.
    #[error("the signature is not in low-S form")]
    HighS,
    /// Well formed, but not made by this key over this message.
    #[error("the signature does not match the message and key")]
    Mismatch,
}
