//! Agents' keys, also such as no host may take.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use data_encoding::HEXLOWER;
use rookery_auth::jwk::PublicJwk;
use rookery_auth::mint::{SignError, Signer};
use std::sync::{Arc, OnceLock};

/// A key pair.
#[derive(Clone)]
pub struct TestKey(Arc<Inner>);

struct Inner {
    secret: Secret,
    jwk: PublicJwk,
}

enum Secret {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// A new key on P-256.
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = PublicJwk::P256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() };
        Self(Arc::new(Inner { secret: Secret::P256(pair), jwk }))
    }

    /// A new Ed25519 key.
    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = PublicJwk::Ed25519 { x: pair.public_key().as_ref().try_into().unwrap() };
        Self(Arc::new(Inner { secret: Secret::Ed25519(pair), jwk }))
    }

    /// One of few RSA keys of 4096 bits. They take long to make, so each is made once in a process; an index names
    /// always the same one.
    pub fn rsa(index: usize) -> Self {
        static KEYS: [OnceLock<TestKey>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        KEYS[index].get_or_init(Self::new_rsa).clone()
    }

    /// A new RSA key of 4096 bits: some seconds of work.
    pub fn new_rsa() -> Self {
        Self::rsa_of(KeySize::Rsa4096)
    }

    /// The RSA key in a PKCS#8 document.
    pub fn rsa_from_pkcs8(document: &[u8]) -> Option<Self> {
        RsaKeyPair::from_pkcs8(document).ok().map(Self::of_pair)
    }

    /// An RSA key as a PKCS#8 document; none for other keys.
    pub fn rsa_to_pkcs8(&self) -> Option<Vec<u8>> {
        match &self.0.secret {
            Secret::Rsa(pair) => Some(pair.as_der().unwrap().as_ref().to_vec()),
            Secret::P256(_) | Secret::Ed25519(_) => None,
        }
    }

    /// A new RSA key of 2048 bits: too short.
    pub fn short_rsa() -> Self {
        Self::rsa_of(KeySize::Rsa2048)
    }

    fn rsa_of(size: KeySize) -> Self {
        Self::of_pair(RsaKeyPair::generate(size).unwrap())
    }

    fn of_pair(pair: RsaKeyPair) -> Self {
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let jwk = PublicJwk::Rsa {
            n: n.big_endian_without_leading_zero().into(),
            e: e.big_endian_without_leading_zero().into(),
        };
        Self(Arc::new(Inner { secret: Secret::Rsa(pair), jwk }))
    }

    /// RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> String {
        self.0.jwk.thumbprint().to_string()
    }
}

impl Signer for TestKey {
    fn jwk(&self) -> &PublicJwk {
        &self.0.jwk
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(match &self.0.secret {
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| SignError::new("RSA"))?;
                signature
            }
            Secret::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_err(|_| SignError::new("P-256"))?
                .as_ref()
                .to_vec(),
            Secret::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

impl std::fmt::Debug for TestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestKey({})", self.thumbprint())
    }
}

/// Text of 16 characters that nobody has used before: for handles, `jti`s and the like. Starts with a letter.
pub fn unique() -> String {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes[0] = 0xa0 | (bytes[0] & 0xf);
    HEXLOWER.encode(&bytes)
}
