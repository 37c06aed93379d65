use data_encoding::{BASE64_NOPAD, HEXLOWER};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A vector file of the protocol's interop tests, or nothing where those are not at hand.
fn vectors(name: &str) -> Vec<Value> {
    let path =
        format!("{}/../../../shared/vectors/atproto-interop/crypto/{name}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).unwrap(),
        Err(_) => {
            println!("skipped: no vectors at {path}");
            Vec::new()
        }
    }
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}

fn key(curve: Curve, fill: u8) -> SecretKey {
    SecretKey::from_bytes(curve, &[fill; 32]).unwrap()
}

const CURVES: [Curve; 2] = [Curve::P256, Curve::K256];

#[test]
fn signature_fixtures_are_accepted_and_refused_as_they_say() {
    for vector in vectors("signature-fixtures.json") {
        let comment = text(&vector, "comment");
        let message = BASE64_NOPAD.decode(text(&vector, "messageBase64").as_bytes()).unwrap();
        let sig = BASE64_NOPAD.decode(text(&vector, "signatureBase64").as_bytes()).unwrap();
        let curve = match text(&vector, "algorithm") {
            "ES256" => Curve::P256,
            "ES256K" => Curve::K256,
            other => panic!("unknown algorithm {other}"),
        };
        let key = PublicKey::from_did_key(text(&vector, "publicKeyDid")).unwrap();
        assert_eq!(key.curve(), curve, "{comment}");
        let legacy = PublicKey::from_legacy_multibase(curve, text(&vector, "publicKeyMultibase")).unwrap();
        assert_eq!(key, legacy, "{comment}");

        let expected = match vector["tags"][0].as_str() {
            None => Ok(()),
            Some("high-s") => Err(SignatureError::HighS),
            Some("der-encoded") => Err(SignatureError::Length(sig.len())),
            Some(other) => panic!("unknown tag {other}"),
        };
        assert_eq!(key.verify(&message, &sig), expected, "{comment}");
        assert_eq!(expected.is_ok(), vector["validSignature"].as_bool().unwrap());
    }
}

#[test]
fn did_key_vectors_round_trip() {
    let p256 = vectors("w3c_didkey_P256.json").into_iter().map(|vector| {
        let secret = bs58::decode(text(&vector, "privateKeyBytesBase58")).into_vec();
        (Curve::P256, secret.unwrap(), vector)
    });
    let k256 = vectors("w3c_didkey_K256.json").into_iter().map(|vector| {
        let secret = HEXLOWER.decode(text(&vector, "privateKeyBytesHex").as_bytes());
        (Curve::K256, secret.unwrap(), vector)
    });
    for (curve, secret, vector) in p256.chain(k256) {
        let did_key = text(&vector, "publicDidKey");
        let secret = SecretKey::from_bytes(curve, &secret.try_into().unwrap()).unwrap();
        assert_eq!(secret.public().to_did_key(), did_key);
        let public = PublicKey::from_did_key(did_key).unwrap();
        assert_eq!(public, secret.public());
        assert_eq!(public.to_did_key(), did_key);
    }
}

#[test]
fn the_spec_s_legacy_and_current_forms_are_one_key() {
    // From the DID spec, "Legacy Representation".
    let legacy = "zQYEBzXeuTM9UR3rfvNag6L3RNAs5pQZyYPsomTsgQhsxLdEgCrPTLgFna8yqCnxPpNT7DBk6Ym3dgPKNu86vt9GR";
    let current = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF";
    let key = PublicKey::from_legacy_multibase(Curve::K256, legacy).unwrap();
    assert_eq!(key.to_multikey(), current);
    assert_eq!(key, PublicKey::from_multikey(current).unwrap());
}

#[test]
fn signatures_are_deterministic_as_rfc_6979_says() {
    // RFC 6979 appendix A.2.5, P-256 with SHA-256 over "sample"; s there is high and appears here as n - s.
    let secret =
        HEXLOWER.decode(b"c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721").unwrap();
    let key = SecretKey::from_bytes(Curve::P256, &secret.try_into().unwrap()).unwrap();
    assert_eq!(
        HEXLOWER.encode(&key.sign(b"sample")),
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9"
    );
}

#[test]
fn broken_keys_are_refused_with_the_reason() {
    let good = key(Curve::K256, 7).public().to_did_key();
    let multikey = good.strip_prefix("did:key:").unwrap();
    let refused = |text: &str| PublicKey::from_did_key(text).unwrap_err();

    assert_eq!(refused(""), KeyError::NotDidKey);
    assert_eq!(refused(multikey), KeyError::NotDidKey);
    assert_eq!(refused("did:key:"), KeyError::NotBase58Btc);
    assert_eq!(refused("did:key:mAAAA"), KeyError::NotBase58Btc);
    assert_eq!(refused("did:key:z0OIl"), KeyError::Base58);
    assert_eq!(refused("did:key:z"), KeyError::UnsupportedCurve);
    assert_eq!(
        refused("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"),
        KeyError::UnsupportedCurve,
        "Ed25519"
    );
    assert_eq!(refused(good.strip_suffix(|_| true).unwrap()), KeyError::UnsupportedCurve);
    assert_eq!(refused(&format!("{good}\n")), KeyError::Base58);
    let long = format!("did:key:z{}", "1".repeat(100_000));
    assert_eq!(refused(&long), KeyError::TooLong(100_001));
    let uncompressed = multikey::encode(Curve::K256, &[4; 65]);
    assert_eq!(PublicKey::from_multikey(&uncompressed).unwrap_err(), KeyError::NotAPoint(Curve::K256));
    for bytes in [&[][..], &[0], &[0; 33], &[5; 33], &[2; 32], &[4; 65]] {
        for curve in CURVES {
            assert_eq!(PublicKey::from_sec1(curve, bytes), Err(KeyError::NotAPoint(curve)));
        }
    }
    for curve in CURVES {
        for secret in [[0; 32], [0xff; 32]] {
            let refused = SecretKey::from_bytes(curve, &secret).unwrap_err();
            assert_eq!(refused, KeyError::SecretOutOfRange(curve));
        }
    }
}

#[test]
fn signatures_with_r_or_s_out_of_range_are_refused() {
    for curve in CURVES {
        let key = key(curve, 9).public();
        for sig in [[0; 64], [0xff; 64]] {
            assert_eq!(key.verify(b"", &sig), Err(SignatureError::OutOfRange));
        }
        assert_eq!(key.verify(b"", &[]), Err(SignatureError::Length(0)));
        assert_eq!(key.verify(b"", &[1; 65]), Err(SignatureError::Length(65)));
    }
}

#[test]
fn a_secret_key_never_prints_its_bytes() {
    let printed = format!("{:?}", key(Curve::K256, 0x41));
    assert!(printed.contains("did:key:z"), "{printed}");
    assert!(!printed.contains("65, 65") && !printed.contains("4141"), "{printed}");
}

#[test]
fn did_key_syntax_does_not_ask_for_a_known_curve() {
    assert!(is_did_key_syntax("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"));
    assert!(!is_did_key_syntax("did:key:6MkhaXgBZDvotDkL"));
    assert!(!is_did_key_syntax("did:web:example.com"));
}

fn any_key() -> impl Strategy<Value = SecretKey> {
    (prop::sample::select(&CURVES[..]), any::<[u8; 32]>())
        .prop_filter_map("out of range", |(curve, bytes)| SecretKey::from_bytes(curve, &bytes).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(
        key in any_key(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        other in prop::collection::vec(any::<u8>(), 0..200),
        (byte, bit) in (0..64usize, 0..8u32),
    ) {
        let sig = key.sign(&message);
        let public = key.public();
        prop_assert_eq!(public.verify(&message, &sig), Ok(()));
        prop_assert_eq!(key.sign(&message), sig);
        if other != message {
            prop_assert_eq!(public.verify(&other, &sig), Err(SignatureError::Mismatch));
        }
        let mut flipped = sig;
        flipped[byte] ^= 1 << bit;
        prop_assert!(public.verify(&message, &flipped).is_err());
    }

    #[test]
    fn keys_round_trip_through_every_form(key in any_key()) {
        let public = key.public();
        prop_assert_eq!(&PublicKey::from_did_key(&public.to_did_key()).unwrap(), &public);
        prop_assert_eq!(&PublicKey::from_multikey(&public.to_multikey()).unwrap(), &public);
        prop_assert_eq!(&PublicKey::from_sec1(public.curve(), public.as_sec1()).unwrap(), &public);
        let again = SecretKey::from_bytes(key.curve(), &key.to_bytes()).unwrap();
        prop_assert_eq!(again.public(), public);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "(did:key:)?z?[1-9A-Za-z]{0,60}") {
        if let Ok(key) = PublicKey::from_did_key(&text) {
            prop_assert_eq!(key.to_did_key(), text);
        }
    }
}
