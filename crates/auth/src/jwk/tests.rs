use proptest::prelude::*;

use super::*;
use crate::mint::Signer as _;
use crate::testing::{ed25519_jwk, keys, with};

/// RFC 7638 section 3.1. Its key is shorter than any we read, so it is built, not parsed.
const RFC7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn rsa_jwk(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": encoding::encode(n), "e": encoding::encode(e)})
}

fn modulus(bytes: usize) -> Vec<u8> {
    vec![0xff; bytes]
}

#[track_caller]
fn refused(jwk: &Value) -> JwkError {
    PublicJwk::from_json(jwk).unwrap_err()
}

#[test]
fn thumbprint_of_rfc7638() {
    let n = encoding::decode(RFC7638_N).unwrap().into();
    let key = PublicJwk::Rsa { n, e: Box::new([1, 0, 1]) };
    assert_eq!(key.thumbprint().to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(refused(&key.to_json()), JwkError::RsaBits(2048));
}

#[test]
fn thumbprint_of_rfc8037() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let thumbprint = PublicJwk::from_json(&jwk).unwrap().thumbprint();
    assert_eq!(thumbprint.to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn thumbprints_round_trip_and_have_one_spelling() {
    let thumbprint = Thumbprint::from_bytes([0xa5; 32]);
    let text = thumbprint.to_string();
    assert_eq!(text.parse(), Ok(thumbprint));
    let mut other_last = text.clone();
    other_last.pop();
    // The last character carries two unused bits.
    other_last.push('V');
    for wrong in [format!("{text}="), other_last, text.replace('p', "+"), String::new()] {
        assert_eq!(wrong.parse::<Thumbprint>(), Err(ThumbprintError), "{wrong}");
    }
}

#[test]
fn every_key_type_survives_its_json() {
    for key in keys() {
        assert_eq!(PublicJwk::from_json(&key.jwk().to_json()).as_ref(), Ok(key.jwk()));
    }
}

#[test]
fn private_and_symmetric_members_are_refused() {
    for member in PRIVATE_MEMBERS {
        let jwk = with(ed25519_jwk(), member, Some(json!("AQAB")));
        assert_eq!(refused(&jwk), JwkError::Private(member));
    }
    assert_eq!(refused(&json!({"kty": "oct"})), JwkError::UnsupportedType("oct".into()));
}

#[test]
fn rsa_moduli_outside_4096_to_8192_bits_are_refused() {
    let e = [1, 0, 1];
    assert!(PublicJwk::from_json(&rsa_jwk(&modulus(512), &e)).is_ok());
    assert!(PublicJwk::from_json(&rsa_jwk(&modulus(1024), &e)).is_ok());
    assert_eq!(refused(&rsa_jwk(&modulus(1025), &e)), JwkError::RsaBits(8200));
    let mut one_bit_short = modulus(512);
    one_bit_short[0] = 0x7f;
    assert_eq!(refused(&rsa_jwk(&one_bit_short, &e)), JwkError::RsaBits(4095));
}

#[test]
fn rsa_numbers_in_another_spelling_are_refused() {
    let padded = [&[0], modulus(512).as_slice()].concat();
    assert!(matches!(refused(&rsa_jwk(&padded, &[3])), JwkError::Member { member: "n", .. }));
    assert!(matches!(refused(&rsa_jwk(&modulus(512), &[0, 3])), JwkError::Member { member: "e", .. }));
    let mut even = modulus(512);
    even[511] = 0xfe;
    assert!(matches!(refused(&rsa_jwk(&even, &[3])), JwkError::Member { member: "n", .. }));
}

#[test]
fn rsa_exponents_are_odd_and_between_3_and_2_pow_32() {
    for e in [&[1][..], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(refused(&rsa_jwk(&modulus(512), e)), JwkError::RsaExponent, "{e:?}");
    }
    for e in [&[3][..], &[1, 0, 1], &[0xff; 4]] {
        assert!(PublicJwk::from_json(&rsa_jwk(&modulus(512), e)).is_ok(), "{e:?}");
    }
}

#[test]
fn coordinates_have_exactly_32_octets() {
    let ec = json!({"kty": "EC", "crv": "P-256", "x": encoding::encode(&[1; 32]), "y": encoding::encode(&[2; 32])});
    assert!(PublicJwk::from_json(&ec).is_ok());
    for wrong in [json!(encoding::encode(&[1; 31])), json!(encoding::encode(&[1; 33])), json!(7)] {
        let error = refused(&with(ec.clone(), "y", Some(wrong.clone())));
        assert!(matches!(error, JwkError::Member { member: "y", .. }));
        let error = refused(&with(ed25519_jwk(), "x", Some(wrong)));
        assert!(matches!(error, JwkError::Member { member: "x", .. }));
    }
    assert!(matches!(refused(&with(ec.clone(), "crv", Some(json!("P-384")))), JwkError::UnsupportedType(_)));
    assert!(matches!(refused(&with(ec, "y", None)), JwkError::Member { member: "y", .. }));
}

#[test]
fn stated_purpose_must_fit() {
    let fits =
        [("alg", json!("EdDSA")), ("use", json!("sig")), ("key_ops", json!(["verify"])), ("kid", json!("1"))];
    for (member, value) in fits {
        assert!(PublicJwk::from_json(&with(ed25519_jwk(), member, Some(value))).is_ok(), "{member}");
    }
    let wrong = [
        ("alg", json!("RS256")),
        ("alg", json!(null)),
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
    ];
    for (member, value) in wrong {
        let error = refused(&with(ed25519_jwk(), member, Some(value)));
        assert!(matches!(error, JwkError::Purpose { .. }), "{member}");
    }
}

proptest! {
    #[test]
    fn reading_any_members_does_not_panic(
        kty in "RSA|EC|OKP|.*",
        crv in "P-256|Ed25519|.*",
        members in prop::collection::btree_map("n|e|x|y|alg|use|key_ops|.", "[A-Za-z0-9_-]{0,50}|.*", 0..6),
    ) {
        let jwk = with(with(json!(members), "kty", Some(json!(kty))), "crv", Some(json!(crv)));
        if let Ok(key) = PublicJwk::from_json(&jwk) {
            prop_assert_eq!(PublicJwk::from_json(&key.to_json()), Ok(key));
        }
    }
}
