use super::*;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use rookery_auth::mint::Signer;

fn member(key: &AgentKey, name: &str) -> Vec<u8> {
    let jwk = key.public_jwk().to_json();
    BASE64URL_NOPAD.decode(jwk[name].as_str().unwrap().as_bytes()).unwrap()
}

/// Verifies with the public JWK alone, as a service does.
fn verifies(key: &AgentKey, message: &[u8], signature: &[u8]) -> bool {
    match key.alg() {
        Alg::Rs256 => RsaPublicKeyComponents { n: member(key, "n"), e: member(key, "e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok(),
        Alg::Es256 => {
            let point = [vec![4], member(key, "x"), member(key, "y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
        }
        Alg::EdDsa => UnparsedPublicKey::new(&ED25519, member(key, "x")).verify(message, signature).is_ok(),
    }
}

#[tokio::test]
async fn a_saved_key_is_the_same_key_and_signs_for_its_public_half() {
    let dir = tempfile::tempdir().unwrap();
    for (alg, name) in [(Alg::Rs256, "RS256"), (Alg::Es256, "ES256"), (Alg::EdDsa, "EdDSA")] {
        let path = dir.path().join(name);
        assert!(AgentKey::load(&path).unwrap().is_none());
        let made = AgentKey::generate(alg).await.unwrap();
        made.save(&path).unwrap();
        assert!(made.save(&path).is_err(), "a key is never overwritten");
        let key = AgentKey::load(&path).unwrap().unwrap();
        assert_eq!((key.alg(), key.alg().as_str(), key.thumbprint()), (alg, name, made.thumbprint()));
        let signature = key.sign(b"message").unwrap();
        assert!(verifies(&made, b"message", &signature), "{name}");
        assert!(!verifies(&made, b"another", &signature), "{name}");
    }
}

#[test]
fn small_rsa_keys_are_refused() {
    let small = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = aws_lc_rs::encoding::AsDer::as_der(&small).unwrap();
    let error = AgentKey::from_pem(&pem::encode(der.as_ref())).unwrap_err();
    assert!(error.to_string().contains("2048 bits"), "{error}");
}

#[test]
fn what_is_no_key_is_refused_without_being_repeated() {
    let error = AgentKey::from_pem(&pem::encode(b"top secret")).unwrap_err().to_string();
    assert!(error.contains("PKCS#8") && !error.contains("secret "), "{error}");
}

#[test]
fn debug_output_shows_only_the_thumbprint() {
    let key = AgentKey::generate_blocking(Alg::EdDsa).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains(&key.thumbprint().to_string()) && shown.len() < 120, "{shown}");
}
