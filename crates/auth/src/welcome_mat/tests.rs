use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jwk::{PublicJwk, Thumbprint};
use crate::jws::{Alg, JwsError};
use crate::origin::Origins;
use crate::testing::{forge, with};

const HEADER: &str = r#"{"typ":"wm+jwt","alg":"EdDSA"}"#;
const KEY: PublicJwk = PublicJwk::Ed25519 { x: [9; 32] };

fn payload() -> Value {
    json!({
        "jti": "t1",
        "tos_hash": encoding::encode(&tos_hash(b"terms")),
        "aud": "https://pds.example",
        "cnf": {"jkt": KEY.thumbprint().to_string()},
        "iat": 1000,
    })
}

/// What a token with this claim set or removed comes to.
fn outcome(claim: &str, to: Option<Value>) -> Result<(), TokenError> {
    let token = UnverifiedToken::parse(&forge(HEADER, &with(payload(), claim, to).to_string()))?.verified();
    let origins = Origins::new(&["https://pds.example", "http://localhost:2583"]).unwrap();
    token.check(1000, 60, &origins, &KEY.thumbprint(), &tos_hash(b"terms"))
}

#[track_caller]
fn refused_claim(claim: &str, to: Option<Value>) {
    let found = outcome(claim, to);
    assert!(matches!(found, Err(TokenError::Claim(error)) if error.claim == claim), "{claim}: {found:?}");
}

#[test]
fn required_claims_are_named_when_missing() {
    for claim in ["tos_hash", "aud", "cnf", "iat"] {
        refused_claim(claim, None);
    }
    assert_eq!(outcome("jti", None), Ok(()));
    assert_eq!(outcome("unknown", Some(json!({"a": [1]}))), Ok(()));
}

#[test]
fn malformed_claims_are_named() {
    for claim in ["jti", "tos_hash", "aud", "cnf", "exp"] {
        refused_claim(claim, Some(json!(true)));
    }
    refused_claim("jti", Some(json!("")));
    refused_claim("tos_hash", Some(json!(encoding::encode(&[1; 31]))));
    refused_claim("cnf", Some(json!({"jkt": "short"})));
    refused_claim("exp", Some(json!(2000.5)));
    refused_claim("iat", Some(json!(1e3)));
    refused_claim("nbf", Some(json!(1000)));
}

#[test]
fn audience_is_this_service_alone() {
    for good in
        [json!("https://PDS.example/"), json!(["https://pds.example"]), json!("http://localhost:2583")]
    {
        assert_eq!(outcome("aud", Some(good)), Ok(()));
    }
    for several in [json!([]), json!(["https://pds.example", "https://other.example"]), json!([1])] {
        refused_claim("aud", Some(several));
    }
    let wrong = TokenError::WrongAudience { expected: "https://pds.example".into() };
    assert_eq!(outcome("aud", Some(json!("https://other.example"))), Err(wrong));
}

#[test]
fn token_of_another_key_is_refused() {
    let other = Thumbprint::from_bytes([1; 32]).to_string();
    assert_eq!(outcome("cnf", Some(json!({"jkt": other}))), Err(TokenError::WrongKey));
}

#[test]
fn token_is_good_from_iat_to_exp() {
    assert_eq!(outcome("iat", Some(json!(-5))), Ok(()));
    assert_eq!(outcome("iat", Some(json!(1060))), Ok(()));
    assert_eq!(outcome("iat", Some(json!(1061))), Err(TokenError::NotYetValid));
    assert_eq!(outcome("exp", Some(json!(941))), Ok(()));
    assert_eq!(outcome("exp", Some(json!(940))), Err(TokenError::Expired));
    assert_eq!(outcome("exp", Some(json!(i64::MIN))), Err(TokenError::Expired));
}

#[test]
fn changed_terms_are_told_apart_and_come_last() {
    let old = json!(encoding::encode(&tos_hash(b"old terms")));
    assert_eq!(outcome("tos_hash", Some(old.clone())), Err(TokenError::TosChanged));
    let old_and_expired = with(with(payload(), "tos_hash", Some(old)), "exp", Some(json!(1)));
    let token = UnverifiedToken::parse(&forge(HEADER, &old_and_expired.to_string())).unwrap().verified();
    let origins = Origins::new(&["https://pds.example"]).unwrap();
    let found = token.check(1000, 60, &origins, &KEY.thumbprint(), &tos_hash(b"terms"));
    assert_eq!(found, Err(TokenError::Expired));
}

#[test]
fn the_proof_key_must_fit_the_token() {
    let token = UnverifiedToken::parse(&forge(HEADER, &payload().to_string())).unwrap();
    assert_eq!(token.signature_check(&KEY).unwrap().key, KEY);
    let p256 = PublicJwk::P256 { x: [1; 32], y: [2; 32] };
    let error = JwsError::AlgOfKey { found: Alg::EdDsa, key: Alg::Es256 };
    assert_eq!(token.signature_check(&p256).unwrap_err(), TokenError::Jws(error));
}

#[test]
fn a_proof_is_not_a_token() {
    let proof = forge(r#"{"typ":"dpop+jwt","alg":"EdDSA"}"#, &payload().to_string());
    assert_eq!(UnverifiedToken::parse(&proof).unwrap_err(), TokenError::Jws(JwsError::Type("wm+jwt")));
}

fn body() -> Value {
    json!({"handle": "alice", "tos_signature": "AAAA", "access_token": "a.b.c"})
}

fn signup(body: &Value) -> Result<SignupRequest, SignupError> {
    SignupRequest::from_json(body.to_string().as_bytes())
}

#[test]
fn signup_is_read_with_and_without_its_options() {
    let least = signup(&body()).unwrap();
    assert_eq!((least.handle.as_str(), least.tos_signature.as_slice()), ("alice", &[0; 3][..]));
    assert_eq!((least.entry_ref, least.recovery_key), (None, None));
    let full = with(
        with(body(), "ref", Some(json!("https://pds.example/#invite=1"))),
        "recoveryKey",
        Some(json!("did:key:z")),
    );
    let full = signup(&with(full, "unknown", Some(json!(1)))).unwrap();
    assert_eq!(full.entry_ref.as_deref(), Some("https://pds.example/#invite=1"));
    assert_eq!(full.recovery_key.as_deref(), Some("did:key:z"));
    assert_eq!(signup(&with(body(), "ref", Some(Value::Null))).unwrap().entry_ref, None);
}

#[test]
fn signup_names_what_is_missing_or_malformed() {
    for name in ["handle", "tos_signature", "access_token"] {
        for wrong in [None, Some(Value::Null), Some(json!("")), Some(json!(1))] {
            let found = signup(&with(body(), name, wrong));
            assert!(
                matches!(found, Err(SignupError::Member { member, .. }) if member == name),
                "{name}: {found:?}"
            );
        }
    }
    for wrong in ["AAAA=", "AA==", "A", "A+AA"] {
        let found = signup(&with(body(), "tos_signature", Some(json!(wrong))));
        assert!(matches!(found, Err(SignupError::Member { member: "tos_signature", .. })), "{wrong}");
    }
}

#[test]
fn signup_members_are_bounded() {
    for (name, limit) in [("handle", 253), ("ref", 2048), ("recoveryKey", 256), ("access_token", 8192)] {
        assert!(signup(&with(body(), name, Some(json!("a".repeat(limit))))).is_ok(), "{name}");
        let found = signup(&with(body(), name, Some(json!("a".repeat(limit + 1)))));
        assert!(matches!(found, Err(SignupError::MemberTooLong { member, .. }) if member == name), "{name}");
    }
    let found = signup(&with(body(), "unknown", Some(json!("a".repeat(MAX_SIGNUP_BYTES)))));
    assert_eq!(found, Err(SignupError::TooLong));
}

#[test]
fn signup_with_a_duplicate_member_is_refused() {
    let body = br#"{"handle":"alice","handle":"bob","tos_signature":"AAAA","access_token":"a.b.c"}"#;
    assert!(matches!(SignupRequest::from_json(body), Err(SignupError::Json(_))));
}

proptest! {
    #[test]
    fn reading_anything_does_not_panic(text in ".*", bytes in any::<Vec<u8>>()) {
        let _ = UnverifiedToken::parse(&text);
        let _ = UnverifiedToken::parse(&forge(HEADER, &text));
        let _ = SignupRequest::from_json(&bytes);
    }

    #[test]
    fn checking_any_times_does_not_panic(iat in any::<i64>(), exp in any::<i64>(), now in any::<i64>(), skew in any::<i64>()) {
        let payload = with(with(payload(), "iat", Some(json!(iat))), "exp", Some(json!(exp)));
        let token = UnverifiedToken::parse(&forge(HEADER, &payload.to_string())).unwrap().verified();
        let origins = Origins::new(&["https://pds.example"]).unwrap();
        let _ = token.check(now, skew, &origins, &KEY.thumbprint(), &tos_hash(b"terms"));
    }
}
