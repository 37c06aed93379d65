//! The three kinds of key pair, behind one face.

use crate::error::{Error, Result};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rookery_auth::jwk::PublicJwk;
use rookery_auth::jws::Alg;
use zeroize::Zeroizing;

/// RSA keys of other sizes are refused by every WelcomeMat service, or by this one.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 512..=1024;

pub(super) enum Material {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Material {
    pub(super) fn generate(alg: Alg) -> Result<Self> {
        let made = match alg {
            Alg::Rs256 => RsaKeyPair::generate(KeySize::Rsa4096).map(Self::Rsa),
            Alg::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256),
            Alg::EdDsa => Ed25519KeyPair::generate().map(Self::Ed25519),
        };
        made.map_err(|_| Error::Key("the key could not be made".into()))
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::Ed25519(pair));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::P256(pair));
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|error| {
            Error::Key(format!("not a usable RSA, P-256 or Ed25519 private key in PKCS#8 ({error})"))
        })?;
        if !RSA_BYTES.contains(&pair.public_modulus_len()) {
            let bits = pair.public_modulus_len().saturating_mul(8);
            return Err(Error::Key(format!("the RSA key has {bits} bits; it must have 4096 to 8192")));
        }
        Ok(Self::Rsa(pair))
    }

    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let failed = |_| Error::Key("the key could not be written as PKCS#8".into());
        Ok(Zeroizing::new(match self {
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Self::P256(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        }))
    }

    /// In the form of JWS: PKCS#1 v1.5 for RSA, 64 bytes for the others.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::Key("the key could not sign".into());
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Self::P256(pair) => {
                Ok(pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    pub(super) fn public_jwk(&self) -> Result<PublicJwk> {
        let unusual = || Error::Key("the public half of the key has an unusual form".into());
        Ok(match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                PublicJwk::Rsa {
                    n: public.modulus().big_endian_without_leading_zero().into(),
                    e: public.exponent().big_endian_without_leading_zero().into(),
                }
            }
            Self::P256(pair) => {
                // SEC 1, section 2.3.3: 4, x, y.
                let point = pair.public_key().as_ref().strip_prefix(&[4]).ok_or_else(unusual)?;
                let (x, y) = point.split_at_checked(32).ok_or_else(unusual)?;
                PublicJwk::P256 {
                    x: x.try_into().map_err(|_| unusual())?,
                    y: y.try_into().map_err(|_| unusual())?,
                }
            }
            Self::Ed25519(pair) => {
                PublicJwk::Ed25519 { x: pair.public_key().as_ref().try_into().map_err(|_| unusual())? }
            }
        })
    }
}
