//! Agents, and the requests that they send.

use crate::outside::START;
use crate::random::Random;
use axum::body::Body;
use data_encoding::HEXLOWER;
use http::{Request, header};
use rookery_auth::jwk::PublicJwk;
use rookery_auth::mint::{self, ProofClaims, SignError, Signer, TokenClaims};
use serde_json::{Value, json};

/// The origin of the machine.
pub(crate) const ORIGIN: &str = "http://localhost:2583";

/// A key whose signatures are taken for good.
struct Key(PublicJwk);

impl Signer for Key {
    fn jwk(&self) -> &PublicJwk {
        &self.0
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(vec![1; 64])
    }
}

/// A request that can be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Message {
    /// A query.
    pub(crate) fn query(path: &str) -> Self {
        Self { path: path.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(self.body.clone().map_or_else(Body::empty, Body::from)).unwrap()
    }
}

/// Somebody with a key, and an account sooner or later.
pub(crate) struct Agent {
    key: Key,
    token: String,
    terms: String,
    /// Its account, once it was told.
    pub(crate) did: Option<String>,
    /// Blobs that it was told are there.
    pub(crate) blobs: Vec<Value>,
    /// A write that was acknowledged.
    pub(crate) last: Option<Message>,
}

impl Agent {
    pub(crate) fn new(random: &Random, terms: &str) -> Self {
        let key = Key(PublicJwk::Ed25519 { x: random.bytes() });
        let claims = TokenClaims {
            jti: "t",
            tos: terms.as_bytes(),
            aud: ORIGIN,
            iat: START / 1_000_000 - 86_400,
            exp: None,
        };
        let token = mint::access_token(&key, &claims).unwrap();
        Self { key, token, terms: terms.to_owned(), did: None, blobs: Vec::new(), last: None }
    }

    fn proof(&self, random: &Random, now: i64, path: &str, token: bool) -> String {
        let claims = ProofClaims {
            jti: &HEXLOWER.encode(&random.bytes::<8>()),
            htm: "POST",
            htu: &format!("{ORIGIN}{path}"),
            iat: now / 1_000_000,
            access_token: token.then_some(self.token.as_str()),
            nonce: None,
        };
        mint::proof(&self.key, &claims).unwrap()
    }

    /// An enrollment.
    pub(crate) fn signup(&self, random: &Random, now: i64, handle: &str) -> Message {
        let path = "/api/signup";
        let body = json!({
            "handle": handle,
            "tos_signature": mint::tos_signature(&self.key, self.terms.as_bytes()).unwrap(),
            "access_token": self.token,
        });
        let proof = self.proof(random, now, path, false);
        let headers = vec![("dpop", proof), (header::CONTENT_TYPE.as_str(), "application/json".to_owned())];
        Message { path: path.to_owned(), headers, body: Some(body.to_string().into_bytes()) }
    }

    /// A procedure in its own name.
    pub(crate) fn call(&self, random: &Random, now: i64, method: &str, kind: &str, body: Vec<u8>) -> Message {
        let path = format!("/xrpc/{method}");
        let headers = vec![
            ("dpop", self.proof(random, now, &path, true)),
            (header::AUTHORIZATION.as_str(), format!("DPoP {}", self.token)),
            (header::CONTENT_TYPE.as_str(), kind.to_owned()),
        ];
        Message { path, headers, body: Some(body) }
    }
}
