use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jws::{Alg, AlgError};
use crate::testing::{ed25519_jwk, forge, is_valid, with};

const RFC9449_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const RFC9449_HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
const RFC9449_JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

fn header() -> Value {
    json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": ed25519_jwk()})
}

fn payload() -> Value {
    json!({"jti": "1", "htm": "POST", "htu": "https://pds.example/xrpc/a.b.c", "iat": 1000})
}

fn forged(header: &Value, payload: &Value) -> Result<UnverifiedProof, ProofError> {
    UnverifiedProof::parse(&forge(&header.to_string(), &payload.to_string()))
}

fn origins() -> Origins {
    Origins::new(&["https://pds.example", "http://localhost:2583"]).unwrap()
}

fn expect(origins: &Origins) -> Expect<'_> {
    Expect { method: "POST", origins, path: "/xrpc/a.b.c?x=1", now: 1000, skew: 60, access_token: None }
}

/// What a proof with this claim set or removed comes to.
fn outcome(claim: &str, to: Option<Value>) -> Result<(), ProofError> {
    let origins = origins();
    forged(&header(), &with(payload(), claim, to))?.check(&expect(&origins))
}

#[test]
fn rfc9449_4_1_proof_for_the_token_endpoint_is_accepted() {
    let proof = UnverifiedProof::parse(&format!("{RFC9449_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg")).unwrap();
    let origins = Origins::new(&["https://server.example.com"]).unwrap();
    let now = 1_562_262_616;
    let expect =
        Expect { method: "POST", origins: &origins, path: "/token", now, skew: 0, access_token: None };
    proof.check(&expect).unwrap();
    assert!(is_valid(&proof.signature_check()));
    let proof = proof.verified();
    assert_eq!(proof.thumbprint.to_string(), RFC9449_JKT);
    assert_eq!(proof.jti, "-BwC3ESc6acc2lTc");
}

#[test]
fn rfc9449_7_1_proof_for_a_protected_resource_is_accepted() {
    let proof = UnverifiedProof::parse(&format!("{RFC9449_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA")).unwrap();
    let origins = Origins::new(&["https://resource.example.org"]).unwrap();
    let expect = Expect {
        method: "GET",
        origins: &origins,
        path: "/protectedresource",
        now: 1_562_262_618,
        skew: 0,
        access_token: Some(RFC9449_TOKEN),
    };
    proof.check(&expect).unwrap();
    assert!(is_valid(&proof.signature_check()));
    let proof = proof.verified();
    assert_eq!(proof.ath.as_deref(), Some("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"));
    assert_eq!(proof.thumbprint.to_string(), RFC9449_JKT);
}

#[test]
fn the_base_of_these_tests_is_accepted() {
    assert_eq!(outcome("unknown", Some(json!([1.5]))), Ok(()));
}

#[test]
fn proof_of_another_type_is_refused() {
    for typ in [Some(json!("wm+jwt")), Some(json!("JWT")), None] {
        let error = forged(&with(header(), "typ", typ), &payload()).unwrap_err();
        assert_eq!(error, ProofError::Jws(JwsError::Type("dpop+jwt")));
    }
}

#[test]
fn unsigned_and_symmetric_proofs_are_refused() {
    let refused = |alg| forged(&with(header(), "alg", Some(json!(alg))), &payload()).unwrap_err();
    assert_eq!(refused("none"), ProofError::Jws(AlgError::Unsigned.into()));
    assert_eq!(refused("HS256"), ProofError::Jws(AlgError::Symmetric("HS256".into()).into()));
}

#[test]
fn algorithm_of_another_key_type_is_refused() {
    let error = forged(&with(header(), "alg", Some(json!("ES256"))), &payload()).unwrap_err();
    assert_eq!(error, ProofError::Jws(JwsError::AlgOfKey { found: Alg::Es256, key: Alg::EdDsa }));
}

#[test]
fn proof_without_a_key_or_with_a_private_one_is_refused() {
    assert_eq!(forged(&with(header(), "jwk", None), &payload()).unwrap_err(), ProofError::NoKey);
    let private = with(ed25519_jwk(), "d", Some(json!("AA")));
    let error = forged(&with(header(), "jwk", Some(private)), &payload()).unwrap_err();
    assert_eq!(error, ProofError::Jwk(JwkError::Private("d")));
}

#[test]
fn missing_claims_are_named() {
    for claim in ["jti", "htm", "htu", "iat"] {
        let found = outcome(claim, None);
        assert!(matches!(found, Err(ProofError::Claim(error)) if error.claim == claim), "{claim}: {found:?}");
    }
}

#[test]
fn claims_of_another_type_are_named() {
    for claim in ["jti", "htm", "htu", "ath", "nonce"] {
        for wrong in [json!(1), json!(null), json!(["a"])] {
            let found = outcome(claim, Some(wrong));
            assert!(
                matches!(found, Err(ProofError::Claim(error)) if error.claim == claim),
                "{claim}: {found:?}"
            );
        }
    }
    for wrong in [json!(1000.5), json!(1000.0), json!("1000"), json!(u64::MAX), json!(null)] {
        let found = outcome("iat", Some(wrong));
        assert!(matches!(found, Err(ProofError::Claim(error)) if error.claim == "iat"), "{found:?}");
    }
}

#[test]
fn jti_has_1_to_256_bytes() {
    assert!(outcome("jti", Some(json!("j".repeat(256)))).is_ok());
    for wrong in [String::new(), "j".repeat(257)] {
        assert!(matches!(outcome("jti", Some(json!(wrong))), Err(ProofError::Claim(_))));
    }
}

#[test]
fn the_largest_key_with_long_claims_stays_within_the_bound() {
    let key = PublicJwk::Rsa { n: vec![0xff; 1024].into(), e: Box::new([0xff; 4]) };
    let header = json!({"typ": "dpop+jwt", "alg": "RS256", "jwk": key.to_json()});
    let mut payload = with(payload(), "jti", Some(json!("j".repeat(256))));
    payload["htu"] = format!("https://pds.example/{}", "p".repeat(2048)).into();
    payload["ath"] = token_hash("token").into();
    let part = |value: &Value| encoding::encode(value.to_string().as_bytes());
    let text = format!("{}.{}.{}", part(&header), part(&payload), encoding::encode(&[7; 1024]));
    assert_eq!(UnverifiedProof::parse(&text).unwrap().jwk(), &key);
}

#[test]
fn another_method_is_refused() {
    for method in ["GET", "post", ""] {
        let error = outcome("htm", Some(json!(method))).unwrap_err();
        assert_eq!(error, ProofError::WrongMethod { expected: "POST".into() });
    }
}

#[test]
fn spellings_of_the_same_uri_are_accepted() {
    for htu in [
        "https://pds.example/xrpc/a.b.c?x=2#y",
        "HTTPS://PDS.Example:443/xrpc/a.b.c",
        "https://pds.example/x/../%78rpc/./a%2eb.c",
        "http://localhost:2583/xrpc/a.b.c",
    ] {
        assert_eq!(outcome("htu", Some(json!(htu))), Ok(()), "{htu}");
    }
}

#[test]
fn another_uri_is_refused() {
    for htu in [
        "https://pds.example/xrpc/a.b.d",
        "https://pds.example/xrpc/a.b.c/",
        "https://pds.example/XRPC/a.b.c",
        "https://pds.example:444/xrpc/a.b.c",
        "http://pds.example/xrpc/a.b.c",
        "https://pds.example.evil.example/xrpc/a.b.c",
        "https://evil.example/xrpc/a.b.c",
        "https://user@pds.example/xrpc/a.b.c",
        "/xrpc/a.b.c",
        "",
    ] {
        let error = outcome("htu", Some(json!(htu))).unwrap_err();
        assert_eq!(
            error,
            ProofError::WrongUri { expected: "https://pds.example/xrpc/a.b.c".into() },
            "{htu}"
        );
    }
}

#[test]
fn proofs_outside_the_window_are_refused() {
    for iat in [940, 1000, 1060] {
        assert_eq!(outcome("iat", Some(json!(iat))), Ok(()));
    }
    assert_eq!(outcome("iat", Some(json!(939))), Err(ProofError::TooOld(61)));
    assert_eq!(outcome("iat", Some(json!(1061))), Err(ProofError::TooNew(61)));
    assert_eq!(outcome("iat", Some(json!(i64::MIN))), Err(ProofError::TooOld(i64::MAX)));
    assert!(matches!(outcome("iat", Some(json!(i64::MAX))), Err(ProofError::TooNew(_))));
}

#[test]
fn ath_is_there_exactly_with_a_token_and_is_its_hash() {
    let origins = origins();
    let with_token = |ath: Option<&str>| {
        let expect = Expect { access_token: Some("token"), ..expect(&origins) };
        forged(&header(), &with(payload(), "ath", ath.map(Value::from))).unwrap().check(&expect)
    };
    assert_eq!(with_token(Some(&token_hash("token"))), Ok(()));
    assert_eq!(with_token(None), Err(ProofError::NoTokenHash));
    for wrong in [token_hash("token2"), String::new(), format!("{}=", token_hash("token"))] {
        assert_eq!(with_token(Some(&wrong)), Err(ProofError::WrongTokenHash));
    }
    assert_eq!(outcome("ath", Some(json!(token_hash("token")))), Err(ProofError::UnexpectedTokenHash));
}

proptest! {
    #[test]
    fn reading_anything_does_not_panic(text in ".*", header in ".*") {
        let _ = UnverifiedProof::parse(&text);
        let _ = UnverifiedProof::parse(&forge(&header, &text));
    }

    #[test]
    fn reading_any_claims_does_not_panic(jti in ".*", htm in ".*", htu in ".*", iat in any::<i64>(), path in ".*") {
        let payload = json!({"jti": jti, "htm": htm, "htu": htu, "iat": iat});
        if let Ok(proof) = forged(&header(), &payload) {
            let origins = origins();
            let _ = proof.check(&Expect { path: &path, ..expect(&origins) });
        }
    }
}
