//! Tokens and proofs with any member altered, signed or not.

use crate::keys::{TestKey, unique};
use crate::target::now;
use data_encoding::BASE64URL_NOPAD;
use rookery_auth::mint::Signer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A JWT before it is signed.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub payload: Value,
}

impl Jwt {
    /// A good DPoP proof for a request with this token.
    pub fn proof(key: &TestKey, method: &str, url: &str, token: Option<&str>) -> Self {
        let htu = url.split(['?', '#']).next().unwrap_or_default();
        let mut payload = json!({"jti": unique(), "htm": method, "htu": htu, "iat": now()});
        if let Some(token) = token {
            payload["ath"] = b64u(&Sha256::digest(token)).into();
        }
        let jwk = key.jwk();
        Self { header: json!({"typ": "dpop+jwt", "alg": jwk.alg().as_str(), "jwk": jwk.to_json()}), payload }
    }

    /// A good access token.
    pub fn token(key: &TestKey, terms: &[u8], aud: &str) -> Self {
        Self {
            header: json!({"typ": "wm+jwt", "alg": key.jwk().alg().as_str()}),
            payload: json!({
                "jti": unique(),
                "tos_hash": b64u(&Sha256::digest(terms)),
                "aud": aud,
                "cnf": {"jkt": key.thumbprint()},
                "iat": now(),
            }),
        }
    }

    /// With a header member set.
    #[must_use]
    pub fn head(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// With a claim set.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.payload[name] = value.into();
        self
    }

    /// Without a header member.
    #[must_use]
    pub fn headless(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    /// Without a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.payload.as_object_mut().unwrap().remove(name);
        self
    }

    /// Signed by this key, whatever the header says.
    pub fn sign(&self, key: &TestKey) -> String {
        sign_text(&self.header.to_string(), &self.payload.to_string(), key)
    }
}

/// A JWS of texts that need not be JSON.
pub fn sign_text(header: &str, payload: &str, key: &TestKey) -> String {
    let input = format!("{}.{}", b64u(header.as_bytes()), b64u(payload.as_bytes()));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", b64u(&signature))
}

/// `jws` with another signature.
pub fn resigned(jws: &str, signature: &[u8]) -> String {
    let (input, _) = jws.rsplit_once('.').unwrap();
    format!("{input}.{}", b64u(signature))
}

/// The signature of a JWS.
pub fn signature_of(jws: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(jws.rsplit_once('.').unwrap().1.as_bytes()).unwrap()
}

/// base64url without padding.
pub fn b64u(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
