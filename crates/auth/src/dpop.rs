//! DPoP proofs (RFC 9449): a request shows that its sender holds the key an access token is bound to.
//!
//! The list of RFC 9449 section 4.3 is spread over the stages on purpose: [`UnverifiedProof::parse`] makes the checks
//! of form (one header is [`crate::authorization::single_proof`]'s concern), [`UnverifiedProof::check`] compares method,
//! URI, time and token before anybody pays for the signature, the host verifies [`UnverifiedProof::signature_check`],
//! and [`crate::replay::ReplayGuard`] takes each proof once. That guard comes last, so that a stranger without the
//! key cannot use up anybody's `jti`.

use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::claims::{self, ClaimError};
use crate::encoding;
use crate::htu::{Target, normal_path};
use crate::jwk::{JwkError, PublicJwk, Thumbprint};
use crate::jws::{Compact, JwsError, SignatureCheck};
use crate::origin::Origins;

/// `typ` of a proof.
pub(crate) const TYPE: &str = "dpop+jwt";

/// A well-formed proof that anybody may have written.
#[derive(Clone, Debug)]
pub struct UnverifiedProof {
    jws: Compact,
    proof: Proof,
}

/// A proof whose signature is by `key`. Only [`UnverifiedProof::verified`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The key from the header.
    pub key: PublicJwk,
    /// Its thumbprint: who is asking.
    pub thumbprint: Thumbprint,
    /// Unique to this proof.
    pub jti: String,
    /// Method of the request.
    pub htm: String,
    /// Target of the request.
    pub htu: String,
    /// When it was signed, unix seconds.
    pub iat: i64,
    /// Hash of the access token it goes with, base64url.
    pub ath: Option<String>,
    /// A nonce the server gave out.
    pub nonce: Option<String>,
}

/// The request a proof must be for.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// Its method, as in the request line.
    pub method: &'a str,
    /// Where the server can be reached.
    pub origins: &'a Origins,
    /// Its path; a query is ignored.
    pub path: &'a str,
    /// Unix seconds.
    pub now: i64,
    /// How far `iat` may lie from `now`, in seconds, either way.
    pub skew: i64,
    /// The token in `Authorization`; `None` where there is none, and then the proof must have no `ath`.
    pub access_token: Option<&'a str>,
}

/// Why a proof is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not a JWS of type `dpop+jwt`.
    #[error("DPoP proof: {0}")]
    Jws(#[from] JwsError),
    /// The header has no key.
    #[error("DPoP proof: the header has no `jwk`; put your public key there")]
    NoKey,
    /// The key is refused.
    #[error("DPoP proof: {0}")]
    Jwk(#[from] JwkError),
    /// A claim is absent or malformed.
    #[error("DPoP proof: {0}")]
    Claim(#[from] ClaimError),
    /// Made for another method.
    #[error("DPoP proof: htm is not this request's method; sign a proof with \"htm\": \"{expected}\"")]
    WrongMethod {
        /// The request's.
        expected: String,
    },
    /// Made for another target.
    #[error("DPoP proof: htu is not this request's URI; sign a proof with \"htu\": \"{expected}\"")]
    WrongUri {
        /// The request's, at the canonical origin.
        expected: String,
    },
    /// Signed too long ago.
    #[error("DPoP proof: iat is {0} seconds ago; sign a new proof for each request, and check your clock")]
    TooOld(i64),
    /// Signed in the future.
    #[error("DPoP proof: iat is {0} seconds in the future; check your clock and sign a new proof")]
    TooNew(i64),
    /// There is a token, but the proof is not bound to it.
    #[error("DPoP proof: no ath; add base64url(SHA-256(access token)) and sign again")]
    NoTokenHash,
    /// The proof is bound to another token.
    #[error(
        "DPoP proof: ath is not the hash of this access token; set it to base64url(SHA-256(access token)) and sign again"
    )]
    WrongTokenHash,
    /// The proof is bound to a token, but there is none.
    #[error("DPoP proof: ath is for requests with an access token, and this one has none; leave ath out")]
    UnexpectedTokenHash,
}

impl UnverifiedProof {
    /// Reads the value of a `DPoP` header.
    pub fn parse(header: &str) -> Result<Self, ProofError> {
        let jws = Compact::parse(header, TYPE)?;
        let key = PublicJwk::from_json(jws.header.get("jwk").ok_or(ProofError::NoKey)?)?;
        jws.check_key(&key)?;
        let payload = &jws.payload;
        let proof = Proof {
            thumbprint: key.thumbprint(),
            key,
            jti: claims::jti(payload)?.to_owned(),
            htm: claims::text(payload, "htm", "the request's method, as in \"POST\"")?.to_owned(),
            htu: claims::text(payload, "htu", "the request's URI without query and fragment")?.to_owned(),
            iat: claims::seconds(payload, "iat")?,
            ath: claims::optional_text(payload, "ath", "base64url(SHA-256(access token))")?
                .map(str::to_owned),
            nonce: claims::optional_text(payload, "nonce", "the nonce the server gave")?.map(str::to_owned),
        };
        Ok(Self { jws, proof })
    }

    /// Is this a proof for that request, signed just now? Free of signature arithmetic.
    pub fn check(&self, expect: &Expect<'_>) -> Result<(), ProofError> {
        if self.proof.htm != expect.method {
            return Err(ProofError::WrongMethod { expected: expect.method.to_owned() });
        }
        self.check_target(expect)?;
        self.check_age(expect)?;
        self.check_token_hash(expect.access_token)
    }

    /// The key in the header.
    pub fn jwk(&self) -> &PublicJwk {
        &self.proof.key
    }

    /// The signature to verify.
    pub fn signature_check(&self) -> SignatureCheck {
        self.jws.signature_check(&self.proof.key)
    }

    /// Call only after [`UnverifiedProof::signature_check`] was found valid.
    pub fn verified(self) -> Proof {
        self.proof
    }

    fn check_target(&self, expect: &Expect<'_>) -> Result<(), ProofError> {
        let path = normal_path(expect.path);
        let target = Target::parse(&self.proof.htu);
        match (target, &path) {
            (Some(target), Some(path))
                if expect.origins.contains_normal(&target.origin) && target.path == *path =>
            {
                Ok(())
            }
            _ => {
                let path = path.as_deref().unwrap_or("/");
                Err(ProofError::WrongUri { expected: format!("{}{path}", expect.origins.canonical()) })
            }
        }
    }

    fn check_age(&self, expect: &Expect<'_>) -> Result<(), ProofError> {
        let age = expect.now.saturating_sub(self.proof.iat);
        if age > expect.skew {
            return Err(ProofError::TooOld(age));
        }
        let ahead = self.proof.iat.saturating_sub(expect.now);
        if ahead > expect.skew {
            return Err(ProofError::TooNew(ahead));
        }
        Ok(())
    }

    fn check_token_hash(&self, access_token: Option<&str>) -> Result<(), ProofError> {
        match (access_token, self.proof.ath.as_deref()) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(ProofError::UnexpectedTokenHash),
            (Some(_), None) => Err(ProofError::NoTokenHash),
            (Some(token), Some(ath)) => {
                let expected = token_hash(token);
                if bool::from(expected.as_bytes().ct_eq(ath.as_bytes())) {
                    Ok(())
                } else {
                    Err(ProofError::WrongTokenHash)
                }
            }
        }
    }
}

/// `ath`: RFC 9449 section 4.2.
pub(crate) fn token_hash(access_token: &str) -> String {
    encoding::encode(&encoding::sha256(access_token.as_bytes()))
}

#[cfg(test)]
mod tests;
