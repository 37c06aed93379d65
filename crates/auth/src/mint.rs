//! The client's side: tokens, proofs and signatures over terms. What is minted here is what the rest of the crate reads.

use serde_json::{Value, json};
use thiserror::Error;

use crate::dpop;
use crate::encoding;
use crate::jwk::PublicJwk;
use crate::welcome_mat;

/// Holds a private key.
pub trait Signer {
    /// Its public half.
    fn jwk(&self) -> &PublicJwk;

    /// Signs with the key's algorithm, in JWS form (PKCS#1 v1.5 for RS256; 64 bytes for ES256 and EdDSA).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Nothing was signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key could not sign.
    #[error("signing failed: {0}; check that the key is readable and whole")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The terms are what a token or proof is signed over.
    #[error(
        "these terms are a token or proof in disguise, and signing them would let the service act in your name elsewhere; do not enroll there"
    )]
    DisguisedTerms,
}

impl SignError {
    /// With its cause, an error or a text.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Key(cause.into())
    }
}

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub struct TokenClaims<'a> {
    /// Unique to this token.
    pub jti: &'a str,
    /// The terms agreed to, exactly as served.
    pub tos: &'a [u8],
    /// The service's origin.
    pub aud: &'a str,
    /// Now, unix seconds.
    pub iat: i64,
    /// When it ends, if it does.
    pub exp: Option<i64>,
}

/// What a proof says.
#[derive(Clone, Copy, Debug)]
pub struct ProofClaims<'a> {
    /// Unique to this proof.
    pub jti: &'a str,
    /// The request's method.
    pub htm: &'a str,
    /// The request's URI; query and fragment are left out of the proof.
    pub htu: &'a str,
    /// Now, unix seconds.
    pub iat: i64,
    /// The token the request carries, if any.
    pub access_token: Option<&'a str>,
    /// The nonce the server asked for, if it did.
    pub nonce: Option<&'a str>,
}

/// A self-signed WelcomeMat token.
pub fn access_token(signer: &dyn Signer, claims: &TokenClaims<'_>) -> Result<String, SignError> {
    let mut payload = json!({
        "jti": claims.jti,
        "tos_hash": encoding::encode(&welcome_mat::tos_hash(claims.tos)),
        "aud": claims.aud,
        "cnf": {"jkt": signer.jwk().thumbprint().to_string()},
        "iat": claims.iat,
    });
    set(&mut payload, "exp", claims.exp.map(Value::from));
    compact(signer, &json!({"typ": welcome_mat::TYPE, "alg": signer.jwk().alg().as_str()}), &payload)
}

/// A DPoP proof for one request.
pub fn proof(signer: &dyn Signer, claims: &ProofClaims<'_>) -> Result<String, SignError> {
    let htu = claims.htu.split(['?', '#']).next().unwrap_or_default();
    let mut payload = json!({"jti": claims.jti, "htm": claims.htm, "htu": htu, "iat": claims.iat});
    set(&mut payload, "ath", claims.access_token.map(|token| dpop::token_hash(token).into()));
    set(&mut payload, "nonce", claims.nonce.map(Value::from));
    let jwk = signer.jwk();
    compact(signer, &json!({"typ": dpop::TYPE, "alg": jwk.alg().as_str(), "jwk": jwk.to_json()}), &payload)
}

/// `tos_signature` of a signup: consent to the terms, exactly as served.
///
/// WelcomeMat has the key that signs tokens and proofs sign the bare bytes of the terms as well. A service whose terms
/// read `header.payload` would be given a token for any other service, so such terms are not signed.
pub fn tos_signature(signer: &dyn Signer, tos: &[u8]) -> Result<String, SignError> {
    if is_jws_signing_input(tos) {
        return Err(SignError::DisguisedTerms);
    }
    signer.sign(tos).map(|signature| encoding::encode(&signature))
}

/// Does this begin with a JOSE header (RFC 7515 section 5.1, step 5)? The payload is left out of the question (RFC 7797
/// allows any), and so is white space, which lenient decoders skip.
fn is_jws_signing_input(bytes: &[u8]) -> bool {
    let header: String = bytes
        .iter()
        .take_while(|b| **b != b'.')
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| char::from(*b))
        .collect();
    let decoded = encoding::decode(header.trim_end_matches('='));
    decoded.is_some_and(|json| serde_json::from_slice::<Value>(&json).is_ok_and(|header| header.is_object()))
}

fn set(payload: &mut Value, claim: &str, value: Option<Value>) {
    if let (Some(members), Some(value)) = (payload.as_object_mut(), value) {
        members.insert(claim.to_owned(), value);
    }
}

fn compact(signer: &dyn Signer, header: &Value, payload: &Value) -> Result<String, SignError> {
    let part = |value: &Value| encoding::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(header), part(payload));
    let signature = signer.sign(input.as_bytes())?;
    Ok(format!("{input}.{}", encoding::encode(&signature)))
}

#[cfg(test)]
mod tests;
