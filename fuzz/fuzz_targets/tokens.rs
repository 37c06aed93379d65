//! What a request shows of who sends it: DPoP proofs, access tokens, headers, keys, enrollments.
//!
//! The input is text of up to three lines. Each reader is given all of it as it is; then the lines are taken as header,
//! payload and signature of a JWS, in base64url as it must be, since a fuzzer hardly finds its way through an encoding.

#![no_main]

use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use rookery_auth::authorization::{dpop_token, single_proof};
use rookery_auth::dpop::{Expect, UnverifiedProof};
use rookery_auth::json::parse_object;
use rookery_auth::jwk::{PublicJwk, Thumbprint};
use rookery_auth::jws::SignatureCheck;
use rookery_auth::origin::Origins;
use rookery_auth::welcome_mat::{SignupRequest, UnverifiedToken, tos_hash};
use rookery_fuzz as _;
use serde_json::Value;
use std::sync::LazyLock;

const NOW: i64 = 1_750_000_000;

static ORIGINS: LazyLock<Origins> =
    LazyLock::new(|| Origins::new(&["https://pds.example.com", "http://[::1]:2583"]).expect("origins"));

fuzz_target!(|bytes: &[u8]| {
    headers(bytes);
    if let Ok(members) = parse_object(bytes) {
        assert_eq!(serde_json::from_slice::<Value>(bytes).expect("others read it"), Value::Object(members));
    }
    if let Ok(signup) = SignupRequest::from_json(bytes) {
        assert!(!signup.handle.is_empty() && !signup.access_token.is_empty());
        let _ = UnverifiedToken::parse(&signup.access_token);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    compact(text);
    let mut lines = text.splitn(3, '\n');
    let mut part = || lines.next().unwrap_or_default();
    let (header, payload, signature) = (part(), part(), part());
    let [header64, payload64] = [header, payload].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
    // As many bytes as the signatures of the most usual keys have.
    let signature = signature.bytes().chain(std::iter::repeat(b's')).take(64).collect::<Vec<u8>>();
    compact(&format!("{header64}.{payload64}.{}", BASE64URL_NOPAD.encode(&signature)));
    if let Ok(json) = serde_json::from_str::<Value>(header) {
        key(&json);
    }
    let _ = Origins::new(&[header, payload]).map(|origins| assert!(origins.matches(origins.canonical())));
});

fn headers(bytes: &[u8]) {
    let lines = || bytes.split(|byte| *byte == b'\n');
    if let Ok(token) = dpop_token(lines()) {
        assert_eq!(lines().count(), 1);
        assert!(!token.is_empty() && token.is_ascii());
    }
    if let Ok(proof) = single_proof(lines()) {
        assert_eq!(lines().count(), 1);
        assert!(!proof.is_empty() && !proof.contains(','));
    }
}

/// A JWS, or a text that should be one.
fn compact(text: &str) {
    if let Ok(proof) = UnverifiedProof::parse(text) {
        covers(&proof.signature_check(), text);
        key(&proof.jwk().to_json());
        let target = "/xrpc/com.atproto.repo.createRecord";
        for (method, path, access_token) in [("POST", target, None), ("POST", text, Some(text))] {
            let expect = Expect { method, origins: &ORIGINS, path, now: NOW, skew: 300, access_token };
            if proof.check(&expect).is_ok() {
                let claims = proof.clone().verified();
                assert_eq!(claims.htm, method);
                assert!((NOW - 300..=NOW + 300).contains(&claims.iat));
                assert_eq!(claims.ath.is_some(), access_token.is_some());
            }
        }
        let claims = proof.verified();
        assert_eq!(claims.thumbprint, claims.key.thumbprint());
        let payload = payload(text);
        assert_eq!(payload["jti"], claims.jti);
        assert_eq!(payload["htm"], claims.htm);
        assert_eq!(payload["htu"], claims.htu);
    }
    if let Ok(token) = UnverifiedToken::parse(text) {
        let key = PublicJwk::Ed25519 { x: [7; 32] };
        if let Ok(check) = token.signature_check(&key) {
            covers(&check, text);
        }
        let claims = token.verified();
        let payload = payload(text);
        assert_eq!(payload["cnf"]["jkt"], claims.jkt.to_string());
        assert_eq!(payload["tos_hash"], BASE64URL_NOPAD.encode(&claims.tos_hash));
        if claims.check(NOW, 300, &ORIGINS, &key.thumbprint(), &tos_hash(b"terms")).is_ok() {
            assert_eq!(claims.jkt, key.thumbprint());
            assert!(ORIGINS.matches(&claims.aud) && claims.exp.is_none_or(|exp| exp > NOW - 300));
        }
    }
}

/// What is signed is the text up to the signature, and the signature is the rest.
fn covers(check: &SignatureCheck, text: &str) {
    let signed = String::from_utf8_lossy(&check.message);
    assert_eq!(format!("{signed}.{}", BASE64URL_NOPAD.encode(&check.signature)), text);
    assert_eq!(check.alg, check.key.alg());
}

fn payload(text: &str) -> Value {
    let payload = text.split('.').nth(1).unwrap_or_default();
    let json = BASE64URL_NOPAD.decode(payload.as_bytes()).expect("it was read before");
    serde_json::from_slice(&json).expect("it was read before")
}

/// A key that is read is written as the same key, and its thumbprint reads back.
fn key(json: &Value) {
    if let Ok(key) = PublicJwk::from_json(json) {
        assert_eq!(PublicJwk::from_json(&key.to_json()).as_ref(), Ok(&key));
        let thumbprint = key.thumbprint();
        assert_eq!(thumbprint.to_string().parse::<Thumbprint>(), Ok(thumbprint));
    }
}
