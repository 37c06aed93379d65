//! Compact JWS (RFC 7515), read the way RFC 8725 asks: algorithms on an allow-list, an explicit type, no extensions.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::encoding;
use crate::json::{self, JsonError};
use crate::jwk::PublicJwk;

/// The longest token or proof read, in bytes. An RSA-8192 proof with its key takes about 3.5 KiB.
pub const MAX_COMPACT_BYTES: usize = 8 * 1024;

/// A signature algorithm that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// One signature the host has to verify before anything it covers is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureCheck {
    /// The key that must have signed.
    pub key: PublicJwk,
    /// With this algorithm; always the key's own.
    pub alg: Alg,
    /// What was signed.
    pub message: Vec<u8>,
    /// The signature: PKCS#1 v1.5 for RS256, the 64 bytes R and S for ES256 and EdDSA.
    pub signature: Vec<u8>,
}

/// Why a name is not an algorithm that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AlgError {
    /// `none`, in any case.
    #[error("alg `none` is never accepted; sign with RS256, ES256 or EdDSA")]
    Unsigned,
    /// An HMAC.
    #[error(
        "alg `{0}` is symmetric and never accepted; sign with RS256, ES256 or EdDSA and your private key"
    )]
    Symmetric(String),
    /// Anything else.
    #[error("alg `{0}` is not accepted; sign with RS256 (RSA), ES256 (P-256) or EdDSA (Ed25519)")]
    Unsupported(String),
}

/// Why a text is not a JWS that is read here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Longer than [`MAX_COMPACT_BYTES`].
    #[error("longer than {MAX_COMPACT_BYTES} bytes; use fewer or shorter claims")]
    TooLong,
    /// Not three parts.
    #[error("not a compact JWS; send exactly three parts, header.payload.signature")]
    Parts,
    /// A part is not strict base64url.
    #[error("the {0} is not base64url; encode it without padding, white space or stray trailing bits")]
    Base64(&'static str),
    /// A part is not a JSON object.
    #[error("the {part} is {error}")]
    Json {
        /// `header` or `payload`.
        part: &'static str,
        /// What is wrong.
        error: JsonError,
    },
    /// `crit` or `b64`: an extension that changes what the JWS means.
    #[error("the header member `{0}` asks for an extension that is not supported; leave it out")]
    Extension(&'static str),
    /// `typ` says it is something else, or nothing.
    #[error("the header must have \"typ\": \"{0}\"")]
    Type(&'static str),
    /// `alg` is absent or not text.
    #[error("the header has no alg; set it to the algorithm you sign with: RS256, ES256 or EdDSA")]
    NoAlg,
    /// `alg` is not taken.
    #[error(transparent)]
    Alg(#[from] AlgError),
    /// `alg` is not the key's.
    #[error("the header says alg {found} but the key signs with {key}; set alg to {key}")]
    AlgOfKey {
        /// In the header.
        found: Alg,
        /// Of the key.
        key: Alg,
    },
    /// The signature cannot be by this key.
    #[error(
        "the signature has {found} bytes, this key's have {expected}; sign again (ES256: R and S, 32 bytes each, not DER)"
    )]
    SignatureLength {
        /// As sent.
        found: usize,
        /// By this key.
        expected: usize,
    },
}

impl Alg {
    /// The name in RFC 7518 and RFC 8037.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Alg {
    type Err = AlgError;

    fn from_str(name: &str) -> Result<Self, AlgError> {
        let shown = || name.chars().take(32).collect();
        match name {
            "RS256" => Ok(Self::Rs256),
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            _ if name.eq_ignore_ascii_case("none") => Err(AlgError::Unsigned),
            "HS256" | "HS384" | "HS512" => Err(AlgError::Symmetric(shown())),
            _ => Err(AlgError::Unsupported(shown())),
        }
    }
}

/// A well-formed compact JWS of the expected type, not verified.
#[derive(Clone, Debug)]
pub(crate) struct Compact {
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Map<String, Value>,
    pub(crate) alg: Alg,
    signing_input: String,
    signature: Vec<u8>,
}

impl Compact {
    /// Reads `header.payload.signature` whose header says it is a `typ`.
    pub(crate) fn parse(text: &str, typ: &'static str) -> Result<Self, JwsError> {
        let jws = Self::parse_untyped(text)?;
        if jws.header.get("typ").and_then(Value::as_str).is_some_and(|found| is_type(found, typ)) {
            Ok(jws)
        } else {
            Err(JwsError::Type(typ))
        }
    }

    fn parse_untyped(text: &str) -> Result<Self, JwsError> {
        if text.len() > MAX_COMPACT_BYTES {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwsError::Parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Parts)?;
        if payload.contains('.') {
            return Err(JwsError::Parts);
        }
        let header = object("header", header)?;
        if let Some(name) = ["crit", "b64"].into_iter().find(|name| header.contains_key(*name)) {
            return Err(JwsError::Extension(name));
        }
        let alg = header.get("alg").and_then(Value::as_str).ok_or(JwsError::NoAlg)?.parse()?;
        Ok(Self {
            payload: object("payload", payload)?,
            header,
            alg,
            signing_input: signing_input.to_owned(),
            signature: encoding::decode(signature).ok_or(JwsError::Base64("signature"))?,
        })
    }

    /// What must hold for `key` to have signed this. Fails where no arithmetic is needed to know that it did not.
    pub(crate) fn check_key(&self, key: &PublicJwk) -> Result<(), JwsError> {
        if self.alg != key.alg() {
            return Err(JwsError::AlgOfKey { found: self.alg, key: key.alg() });
        }
        let (found, expected) = (self.signature.len(), key.signature_len());
        if found != expected {
            return Err(JwsError::SignatureLength { found, expected });
        }
        Ok(())
    }

    /// The signature by `key`, for the host to verify.
    pub(crate) fn signature_check(&self, key: &PublicJwk) -> SignatureCheck {
        SignatureCheck {
            key: key.clone(),
            alg: self.alg,
            message: self.signing_input.clone().into_bytes(),
            signature: self.signature.clone(),
        }
    }
}

/// RFC 7515 section 4.1.9: `typ` is a media type, so case does not matter and `application/` may be left out.
fn is_type(found: &str, typ: &str) -> bool {
    let bare = match found.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => found,
    };
    bare.eq_ignore_ascii_case(typ)
}

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, JwsError> {
    let bytes = encoding::decode(text).ok_or(JwsError::Base64(part))?;
    json::parse_object(&bytes).map_err(|error| JwsError::Json { part, error })
}

#[cfg(test)]
mod tests;
