//! The self-signed access token.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::claims::{self, ClaimError};
use crate::encoding;
use crate::jwk::{PublicJwk, Thumbprint};
use crate::jws::{Compact, JwsError, SignatureCheck};
use crate::origin::Origins;

/// `typ` of a token.
pub(crate) const TYPE: &str = "wm+jwt";

/// A well-formed token that anybody may have written.
#[derive(Clone, Debug)]
pub struct UnverifiedToken {
    jws: Compact,
    token: AccessToken,
}

/// A token whose signature was verified. Only [`UnverifiedToken::verified`] makes one; that the key it was verified with is
/// the one it names is for [`AccessToken::check`] to find.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessToken {
    /// Unique to this token. Required by the specification, of no use to a server that keeps no token list.
    pub jti: Option<String>,
    /// SHA-256 of the terms agreed to.
    pub tos_hash: [u8; 32],
    /// The origin it is for.
    pub aud: String,
    /// The key it is bound to.
    pub jkt: Thumbprint,
    /// When it was signed, unix seconds.
    pub iat: i64,
    /// When it ends, unix seconds.
    pub exp: Option<i64>,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a JWS of type `wm+jwt`.
    #[error("access token: {0}")]
    Jws(#[from] JwsError),
    /// A claim is absent or malformed.
    #[error("access token: {0}")]
    Claim(#[from] ClaimError),
    /// Not signed by the key it comes with; only the host that checks signatures finds this out.
    #[error(
        "access token: the signature is not by the key of the DPoP proof; sign the token with the same key"
    )]
    Signature,
    /// Bound to another key than the proof's.
    #[error(
        "access token: cnf.jkt is not the thumbprint of the key that signed the DPoP proof; use the key you enrolled with"
    )]
    WrongKey,
    /// For another service.
    #[error("access token: aud is not this service; sign a token with \"aud\": \"{expected}\"")]
    WrongAudience {
        /// The canonical origin.
        expected: String,
    },
    /// Its `iat` lies in the future.
    #[error("access token: iat is in the future; check your clock and enroll again")]
    NotYetValid,
    /// Its `exp` has passed.
    #[error("access token: expired; enroll again to get a new one")]
    Expired,
    /// The terms are not those it was signed for.
    #[error(
        "the terms have changed since this token was signed; read /tos and enroll again with the same key to agree"
    )]
    TosChanged,
}

impl UnverifiedToken {
    /// Reads the token of an `Authorization: DPoP` header or a signup.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let jws = Compact::parse(text, TYPE)?;
        let payload = &jws.payload;
        // RFC 7519 section 4.1.5 forbids ignoring it, and nothing here needs it.
        if payload.contains_key("nbf") {
            return Err(ClaimError { claim: "nbf", expected: "left out" }.into());
        }
        let token = AccessToken {
            jti: claims::optional_jti(payload)?.map(str::to_owned),
            tos_hash: encoding::decode_array(claims::text(payload, "tos_hash", TOS_HASH)?)
                .ok_or(ClaimError { claim: "tos_hash", expected: TOS_HASH })?,
            aud: audience(payload)?.to_owned(),
            jkt: confirmation(payload)?,
            iat: claims::seconds(payload, "iat")?,
            exp: claims::optional_seconds(payload, "exp")?,
        };
        Ok(Self { jws, token })
    }

    /// The signature to verify. `key` is the one in the proof the token comes with.
    pub fn signature_check(&self, key: &PublicJwk) -> Result<SignatureCheck, TokenError> {
        self.jws.check_key(key)?;
        Ok(self.jws.signature_check(key))
    }

    /// Call only after [`UnverifiedToken::signature_check`] was found valid.
    pub fn verified(self) -> AccessToken {
        self.token
    }
}

impl AccessToken {
    /// Is it good at `now`, here, for the holder of `jkt`, under these terms? Terms come last:
    /// [`TokenError::TosChanged`] means that nothing else is wrong.
    pub fn check(
        &self,
        now: i64,
        skew: i64,
        origins: &Origins,
        jkt: &Thumbprint,
        tos_hash: &[u8; 32],
    ) -> Result<(), TokenError> {
        if self.jkt != *jkt {
            return Err(TokenError::WrongKey);
        }
        if !origins.matches(&self.aud) {
            return Err(TokenError::WrongAudience { expected: origins.canonical().to_owned() });
        }
        if self.iat > now.saturating_add(skew) {
            return Err(TokenError::NotYetValid);
        }
        if self.exp.is_some_and(|exp| exp <= now.saturating_sub(skew)) {
            return Err(TokenError::Expired);
        }
        if self.tos_hash != *tos_hash {
            return Err(TokenError::TosChanged);
        }
        Ok(())
    }
}

/// RFC 7519 section 4.1.3 allows an array; a token for several services would let each use it at the others.
fn audience(payload: &Map<String, Value>) -> Result<&str, ClaimError> {
    let error = ClaimError { claim: "aud", expected: "this service's origin, one string" };
    match payload.get("aud") {
        Some(Value::String(aud)) => Ok(aud),
        Some(Value::Array(list)) => match list.as_slice() {
            [Value::String(aud)] => Ok(aud),
            _ => Err(error),
        },
        _ => Err(error),
    }
}

/// RFC 9449 section 6.1.
fn confirmation(payload: &Map<String, Value>) -> Result<Thumbprint, ClaimError> {
    payload
        .get("cnf")
        .and_then(|cnf| cnf.get("jkt"))
        .and_then(Value::as_str)
        .and_then(|jkt| jkt.parse().ok())
        .ok_or(ClaimError {
            claim: "cnf",
            expected: "{\"jkt\": the RFC 7638 SHA-256 thumbprint of your key}",
        })
}

const TOS_HASH: &str = "base64url(SHA-256(terms)), the terms exactly as served";
