//! Signature checks by aws-lc.
//!
//! Checking takes some 50 µs (RSA-4096: 56, P-256: 49, Ed25519: 36) and happens on the calling thread: handing it to
//! another would gain little. An RSA key that is used for the first time costs some 8 µs more, for tables made from it; so
//! parsed keys are kept.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use futures_util::future::{BoxFuture, ready};
use quick_cache::sync::Cache;
use rookery_auth::jwk::PublicJwk;
use rookery_auth::jws::SignatureCheck;
use rookery_pds::ports::Verify;
use std::sync::Arc;

/// Keys kept. A parsed RSA-4096 key takes a few kilobytes.
const KEYS: usize = 2048;
/// First byte of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Native signature checks.
pub(crate) struct AwsLcVerify {
    keys: Cache<PublicJwk, Arc<ParsedPublicKey>>,
}

impl AwsLcVerify {
    pub(crate) fn new() -> Self {
        Self { keys: Cache::new(KEYS) }
    }

    fn check(&self, check: &SignatureCheck) -> bool {
        if check.alg != check.key.alg() {
            return false;
        }
        let signed = |key: &ParsedPublicKey| key.verify_sig(&check.message, &check.signature).is_ok();
        if let Some(key) = self.keys.get(&check.key) {
            return signed(&key);
        }
        let Some(key) = parse(&check.key) else { return false };
        let valid = signed(&key);
        // Only keys that have signed something: a stranger fills the cache no faster than by signing.
        if valid {
            self.keys.insert(check.key.clone(), key);
        }
        valid
    }
}

impl Verify for AwsLcVerify {
    fn verify(&self, check: SignatureCheck) -> BoxFuture<'_, bool> {
        Box::pin(ready(self.check(&check)))
    }
}

fn parse(key: &PublicJwk) -> Option<Arc<ParsedPublicKey>> {
    let parsed = match key {
        PublicJwk::Rsa { n, e } => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        }
        PublicJwk::P256 { x, y } => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[UNCOMPRESSED], x.as_slice(), y].concat())
        }
        PublicJwk::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
    };
    parsed.ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    };

    const MESSAGE: &[u8] = b"signed";

    fn rsa() -> SignatureCheck {
        let pair = RsaKeyPair::generate(KeySize::Rsa4096).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), MESSAGE, &mut signature).unwrap();
        let n = pair.public_key().modulus().big_endian_without_leading_zero().into();
        let e = pair.public_key().exponent().big_endian_without_leading_zero().into();
        check(PublicJwk::Rsa { n, e }, signature)
    }

    fn p256() -> SignatureCheck {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        check(
            PublicJwk::P256 { x: x.try_into().unwrap(), y: y.try_into().unwrap() },
            signature.as_ref().to_vec(),
        )
    }

    fn ed25519() -> SignatureCheck {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = pair.public_key().as_ref().try_into().unwrap();
        check(PublicJwk::Ed25519 { x }, pair.sign(MESSAGE).as_ref().to_vec())
    }

    fn check(key: PublicJwk, signature: Vec<u8>) -> SignatureCheck {
        SignatureCheck { alg: key.alg(), key, message: MESSAGE.to_vec(), signature }
    }

    #[tokio::test]
    async fn every_algorithm_takes_what_was_signed_and_nothing_else() {
        let verify = AwsLcVerify::new();
        for good in [rsa(), p256(), ed25519()] {
            // Twice: with a new key and with a cached one.
            for _ in 0..2 {
                assert!(verify.verify(good.clone()).await, "{:?}", good.alg);
                let other = SignatureCheck { message: b"other".to_vec(), ..good.clone() };
                assert!(!verify.verify(other).await, "{:?}", good.alg);
                let short = SignatureCheck { signature: good.signature[1..].to_vec(), ..good.clone() };
                assert!(!verify.verify(short).await, "{:?}", good.alg);
            }
        }
        assert_eq!(verify.keys.len(), 3);
    }

    #[tokio::test]
    async fn another_key_or_algorithm_does_not_verify_and_is_not_kept() {
        let verify = AwsLcVerify::new();
        let (one, two) = (p256(), p256());
        assert!(!verify.verify(SignatureCheck { key: two.key, ..one.clone() }).await);
        assert!(!verify.verify(SignatureCheck { alg: rookery_auth::jws::Alg::EdDsa, ..one }).await);
        assert_eq!(verify.keys.len(), 0);
    }

    #[tokio::test]
    async fn a_point_off_the_curve_is_no_key() {
        let verify = AwsLcVerify::new();
        let key = PublicJwk::P256 { x: [1; 32], y: [1; 32] };
        assert!(!verify.verify(check(key, vec![1; 64])).await);
    }
}
