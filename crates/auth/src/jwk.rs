//! Public keys as JWK (RFC 7517, 7518 section 6, 8037) and their thumbprints (RFC 7638).
//!
//! A key type has exactly one algorithm here (RSA: RS256, P-256: ES256, Ed25519: EdDSA), so a signature cannot be
//! moved to another algorithm with the same key. Whether a P-256 or Ed25519 point lies on its curve is found by
//! whoever verifies with it.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::encoding;
use crate::jws::Alg;

/// The smallest RSA modulus taken, in bits: the WelcomeMat baseline.
pub const MIN_RSA_BITS: usize = 4096;
/// The largest RSA modulus taken: verification time grows with its square.
pub const MAX_RSA_BITS: usize = 8192;

/// Members that only a private or symmetric key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that can sign tokens and proofs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PublicJwk {
    /// RSA, big-endian without leading zeros.
    Rsa {
        /// Modulus, [`MIN_RSA_BITS`] to [`MAX_RSA_BITS`].
        n: Box<[u8]>,
        /// Public exponent: odd, at least 3, below 2^32.
        e: Box<[u8]>,
    },
    /// An uncompressed point on P-256.
    P256 {
        /// First coordinate.
        x: [u8; 32],
        /// Second coordinate.
        y: [u8; 32],
    },
    /// Ed25519.
    Ed25519 {
        /// The encoded point.
        x: [u8; 32],
    },
}

/// Why a JWK is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JwkError {
    /// Not an object.
    #[error("the jwk is not a JSON object; send the public key as in RFC 7517")]
    NotAnObject,
    /// The private half was sent. It has travelled; it should not be used again.
    #[error(
        "the jwk contains the private member `{0}`; that key is no longer secret: make a new one and send only its public members"
    )]
    Private(&'static str),
    /// A key type or curve that is not taken.
    #[error(
        "key type {0} is not accepted; use RSA of {MIN_RSA_BITS} bits or more, EC on P-256, or OKP with Ed25519"
    )]
    UnsupportedType(String),
    /// A member is absent or malformed.
    #[error("the jwk member `{member}` must be {expected}")]
    Member {
        /// Its name.
        member: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// The modulus is too short or too long.
    #[error("the RSA modulus has {0} bits; make a key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")]
    RsaBits(usize),
    /// The public exponent is unusable.
    #[error(
        "the RSA exponent must be odd, at least 3 and below 2^32; make a key with the usual 65537 (`AQAB`)"
    )]
    RsaExponent,
    /// `alg`, `use` or `key_ops` forbid verifying with this key.
    #[error("the jwk member `{member}` does not allow this use; leave it out or set it to {expected}")]
    Purpose {
        /// Its name.
        member: &'static str,
        /// The value that would do.
        expected: &'static str,
    },
}

impl PublicJwk {
    /// Reads a public key. Unknown members are ignored (RFC 7517 section 4), private ones refused.
    pub fn from_json(jwk: &Value) -> Result<Self, JwkError> {
        let members = jwk.as_object().ok_or(JwkError::NotAnObject)?;
        if let Some(name) = PRIVATE_MEMBERS.into_iter().find(|name| members.contains_key(*name)) {
            return Err(JwkError::Private(name));
        }
        let key = match text(members, "kty", "`RSA`, `EC` or `OKP`")? {
            "RSA" => read_rsa(members)?,
            "EC" => read_p256(members)?,
            "OKP" => read_ed25519(members)?,
            other => return Err(unsupported(other)),
        };
        key.check_purpose(members)?;
        Ok(key)
    }

    /// The required public members, nothing else.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Rsa { n, e } => json!({"kty": "RSA", "n": encoding::encode(n), "e": encoding::encode(e)}),
            Self::P256 { x, y } => {
                json!({"kty": "EC", "crv": "P-256", "x": encoding::encode(x), "y": encoding::encode(y)})
            }
            Self::Ed25519 { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": encoding::encode(x)}),
        }
    }

    /// The one algorithm this key signs with.
    pub fn alg(&self) -> Alg {
        match self {
            Self::Rsa { .. } => Alg::Rs256,
            Self::P256 { .. } => Alg::Es256,
            Self::Ed25519 { .. } => Alg::EdDsa,
        }
    }

    /// RFC 7638 section 3: SHA-256 over the required members in lexical order without white space.
    pub fn thumbprint(&self) -> Thumbprint {
        let canonical = match self {
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encoding::encode(e), encoding::encode(n))
            }
            Self::P256 { x, y } => format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                encoding::encode(x),
                encoding::encode(y)
            ),
            Self::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encoding::encode(x))
            }
        };
        Thumbprint(encoding::sha256(canonical.as_bytes()))
    }

    /// How long each signature by this key is, in JWS form.
    pub(crate) fn signature_len(&self) -> usize {
        match self {
            Self::Rsa { n, .. } => n.len(),
            Self::P256 { .. } | Self::Ed25519 { .. } => 64,
        }
    }

    /// RFC 7517 sections 4.2 to 4.4: what the key says it is for must include verifying with its algorithm.
    fn check_purpose(&self, members: &Map<String, Value>) -> Result<(), JwkError> {
        let refuse = |member, expected| Err(JwkError::Purpose { member, expected });
        if members.get("alg").is_some_and(|alg| alg.as_str() != Some(self.alg().as_str())) {
            return refuse("alg", self.alg().as_str());
        }
        if members.get("use").is_some_and(|purpose| purpose.as_str() != Some("sig")) {
            return refuse("use", "\"sig\"");
        }
        let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
        if members.get("key_ops").is_some_and(|ops| !verifies(ops)) {
            return refuse("key_ops", "[\"verify\"]");
        }
        Ok(())
    }
}

fn read_rsa(members: &Map<String, Value>) -> Result<PublicJwk, JwkError> {
    // RFC 7518 section 2, Base64urlUInt: the minimum number of octets.
    let number = |member| -> Result<Box<[u8]>, JwkError> {
        let expected = "an unsigned integer in base64url without padding or leading zero octets";
        encoding::decode(text(members, member, expected)?)
            .filter(|bytes| bytes.first().is_some_and(|first| *first != 0))
            .map(Vec::into_boxed_slice)
            .ok_or(JwkError::Member { member, expected })
    };
    let (n, e) = (number("n")?, number("e")?);
    let unused = n.first().map_or(0, |first| first.leading_zeros());
    let bits = n.len().saturating_mul(8).saturating_sub(usize::try_from(unused).unwrap_or_default());
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(JwkError::RsaBits(bits));
    }
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(JwkError::Member { member: "n", expected: "the product of two odd primes, so odd" });
    }
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    if !odd || e.len() > 4 || *e == [1] {
        return Err(JwkError::RsaExponent);
    }
    Ok(PublicJwk::Rsa { n, e })
}

fn read_p256(members: &Map<String, Value>) -> Result<PublicJwk, JwkError> {
    match text(members, "crv", "`P-256`")? {
        "P-256" => Ok(PublicJwk::P256 { x: coordinate(members, "x")?, y: coordinate(members, "y")? }),
        other => Err(unsupported(other)),
    }
}

fn read_ed25519(members: &Map<String, Value>) -> Result<PublicJwk, JwkError> {
    match text(members, "crv", "`Ed25519`")? {
        "Ed25519" => Ok(PublicJwk::Ed25519 { x: coordinate(members, "x")? }),
        other => Err(unsupported(other)),
    }
}

fn coordinate(members: &Map<String, Value>, member: &'static str) -> Result<[u8; 32], JwkError> {
    let expected = "exactly 32 octets in base64url without padding";
    encoding::decode_array(text(members, member, expected)?).ok_or(JwkError::Member { member, expected })
}

fn text<'a>(
    members: &'a Map<String, Value>,
    member: &'static str,
    expected: &'static str,
) -> Result<&'a str, JwkError> {
    members.get(member).and_then(Value::as_str).ok_or(JwkError::Member { member, expected })
}

fn unsupported(name: &str) -> JwkError {
    JwkError::UnsupportedType(name.chars().take(32).collect())
}

/// An account's identity: the RFC 7638 SHA-256 thumbprint of its key. Written as 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

/// A text that is not a thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key thumbprint; send 43 characters of base64url, the SHA-256 of RFC 7638")]
pub struct ThumbprintError;

impl Thumbprint {
    /// The thumbprint with this digest.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl FromStr for Thumbprint {
    type Err = ThumbprintError;

    fn from_str(text: &str) -> Result<Self, ThumbprintError> {
        encoding::decode_array(text).map(Self).ok_or(ThumbprintError)
    }
}

#[cfg(test)]
mod tests;
