//! Keys, a verifier and forgeries for the tests.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

use crate::encoding::encode;
use crate::jwk::PublicJwk;
use crate::jws::SignatureCheck;
use crate::mint::{SignError, Signer};

pub(crate) struct TestKey {
    secret: Secret,
    jwk: PublicJwk,
}

enum Secret {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// One key per algorithm, made once: RSA keys take their time.
pub(crate) fn keys() -> &'static [TestKey; 3] {
    static KEYS: OnceLock<[TestKey; 3]> = OnceLock::new();
    KEYS.get_or_init(|| [rsa(), p256(), ed25519()])
}

fn rsa() -> TestKey {
    let pair = RsaKeyPair::generate(KeySize::Rsa4096).unwrap();
    let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
    let jwk = PublicJwk::Rsa {
        n: n.big_endian_without_leading_zero().into(),
        e: e.big_endian_without_leading_zero().into(),
    };
    TestKey { jwk, secret: Secret::Rsa(pair) }
}

fn p256() -> TestKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = PublicJwk::P256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() };
    TestKey { jwk, secret: Secret::P256(pair) }
}

fn ed25519() -> TestKey {
    let pair = Ed25519KeyPair::generate().unwrap();
    let jwk = PublicJwk::Ed25519 { x: pair.public_key().as_ref().try_into().unwrap() };
    TestKey { jwk, secret: Secret::Ed25519(pair) }
}

impl Signer for TestKey {
    fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(match &self.secret {
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Secret::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Secret::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

/// What a host's port does.
pub(crate) fn is_valid(check: &SignatureCheck) -> bool {
    fn with(
        algorithm: &'static dyn signature::VerificationAlgorithm,
        key: &[u8],
        c: &SignatureCheck,
    ) -> bool {
        UnparsedPublicKey::new(algorithm, key).verify(&c.message, &c.signature).is_ok()
    }
    assert_eq!(check.alg, check.key.alg());
    match &check.key {
        PublicJwk::Rsa { n, e } => RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, &check.message, &check.signature)
            .is_ok(),
        PublicJwk::P256 { x, y } => {
            with(&ECDSA_P256_SHA256_FIXED, &[&[4], x.as_slice(), y.as_slice()].concat(), check)
        }
        PublicJwk::Ed25519 { x } => with(&ED25519, x, check),
    }
}

/// A JWS with 64 bytes where a signature belongs.
pub(crate) fn forge(header: &str, payload: &str) -> String {
    format!("{}.{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()), encode(&[7; 64]))
}

/// A key nobody has, for forgeries.
pub(crate) fn ed25519_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&[9; 32])})
}

/// `value` with `member` set, or removed where `to` is `None`.
pub(crate) fn with(mut value: Value, member: &str, to: Option<Value>) -> Value {
    let members = value.as_object_mut().unwrap();
    match to {
        Some(to) => members.insert(member.to_owned(), to),
        None => members.remove(member),
    };
    value
}
