//! Tokens and proofs, made where signing holds up nobody.

use super::{AgentKey, blocking};
use crate::error::{Error, Result};
use crate::random;
use bytes::Bytes;
use rookery_auth::jwk::PublicJwk;
use rookery_auth::mint::{self, ProofClaims, SignError, Signer, TokenClaims};

impl Signer for AgentKey {
    fn jwk(&self) -> &PublicJwk {
        &self.0.jwk
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.material.sign(message).map_err(SignError::new)
    }
}

/// What a signup needs to be signed.
pub(crate) struct Consent {
    pub(crate) tos_signature: String,
    pub(crate) access_token: String,
}

impl AgentKey {
    /// Signs the terms, and a token that says so.
    pub(crate) async fn consent(&self, tos: Bytes, origin: &str, now: i64) -> Result<Consent> {
        let (key, jti, aud) = (self.clone(), random::token_id()?, origin.to_owned());
        blocking(move || {
            let claims = TokenClaims { jti: &jti, tos: &tos, aud: &aud, iat: now, exp: None };
            Ok(Consent {
                tos_signature: mint::tos_signature(&key, &tos).map_err(refused)?,
                access_token: mint::access_token(&key, &claims).map_err(refused)?,
            })
        })
        .await
    }

    /// A proof for one request.
    pub(crate) async fn proof(
        &self,
        htm: &str,
        htu: &str,
        now: i64,
        nonce: Option<String>,
        access_token: Option<&str>,
    ) -> Result<String> {
        let (key, jti) = (self.clone(), random::token_id()?);
        let (htm, htu, token) = (htm.to_owned(), htu.to_owned(), access_token.map(str::to_owned));
        blocking(move || {
            let claims = ProofClaims {
                jti: &jti,
                htm: &htm,
                htu: &htu,
                iat: now,
                access_token: token.as_deref(),
                nonce: nonce.as_deref(),
            };
            mint::proof(&key, &claims).map_err(refused)
        })
        .await
    }
}

fn refused(error: SignError) -> Error {
    Error::Key(error.to_string())
}
