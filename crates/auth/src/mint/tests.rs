use super::*;
use crate::dpop::{Expect, UnverifiedProof};
use crate::origin::Origins;
use crate::testing::{is_valid, keys};
use crate::welcome_mat::{SignupRequest, UnverifiedToken, tos_hash};

const TOS: &[u8] = "Be kind.\n\u{1f426}".as_bytes();

fn origins() -> Origins {
    Origins::new(&["https://pds.example"]).unwrap()
}

fn token(key: &dyn Signer) -> String {
    access_token(
        key,
        &TokenClaims { jti: "t1", tos: TOS, aud: "https://pds.example", iat: 1000, exp: Some(2000) },
    )
    .unwrap()
}

#[test]
fn a_minted_token_is_accepted_for_every_algorithm() {
    for key in keys() {
        let token = UnverifiedToken::parse(&token(key)).unwrap();
        assert!(is_valid(&token.signature_check(key.jwk()).unwrap()));
        let token = token.verified();
        token.check(1000, 0, &origins(), &key.jwk().thumbprint(), &tos_hash(TOS)).unwrap();
        assert_eq!((token.jti.as_deref(), token.exp), (Some("t1"), Some(2000)));
    }
}

#[test]
fn a_minted_proof_is_accepted_for_every_algorithm() {
    for key in keys() {
        let token = token(key);
        let claims = ProofClaims {
            jti: "p1",
            htm: "POST",
            htu: "https://pds.example/xrpc/a.b.c?x=1#y",
            iat: 1000,
            access_token: Some(&token),
            nonce: Some("n"),
        };
        let proof = UnverifiedProof::parse(&proof(key, &claims).unwrap()).unwrap();
        let origins = origins();
        let expect = Expect {
            method: "POST",
            origins: &origins,
            path: "/xrpc/a.b.c",
            now: 1000,
            skew: 0,
            access_token: Some(&token),
        };
        proof.check(&expect).unwrap();
        let mut check = proof.signature_check();
        assert!(is_valid(&check));
        check.signature[10] ^= 1;
        assert!(!is_valid(&check));
        let proof = proof.verified();
        assert_eq!(proof.key, *key.jwk());
        assert_eq!(proof.thumbprint, key.jwk().thumbprint());
        assert_eq!(proof.htu, "https://pds.example/xrpc/a.b.c");
        assert_eq!(proof.nonce.as_deref(), Some("n"));
    }
}

#[test]
fn signed_terms_are_accepted_for_every_algorithm() {
    for key in keys() {
        let body = json!({
            "handle": "alice",
            "tos_signature": tos_signature(key, TOS).unwrap(),
            "access_token": token(key),
        });
        let request = SignupRequest::from_json(body.to_string().as_bytes()).unwrap();
        assert!(is_valid(&request.tos_check(key.jwk(), TOS)));
        assert!(!is_valid(&request.tos_check(key.jwk(), b"Be unkind.")));
    }
}

#[test]
fn terms_that_are_a_token_in_disguise_are_not_signed() {
    let key = &keys()[2];
    let part = |value: &Value| encoding::encode(value.to_string().as_bytes());
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.jwk().to_json()});
    let payload = json!({"jti": "1", "htm": "POST", "htu": "https://pds.example/", "iat": 1000});
    let terms = format!("{}.{}", part(&header), part(&payload));
    // With this signature, whoever wrote the terms would have a proof in the agent's name.
    let proof = format!("{terms}.{}", encoding::encode(&key.sign(terms.as_bytes()).unwrap()));
    assert!(is_valid(&UnverifiedProof::parse(&proof).unwrap().signature_check()));
    let (head, rest) = terms.split_at(9);
    for terms in [
        terms.clone(),
        format!(" {head}\r\n{rest}\n"),
        format!("{}.Free text, as in RFC 7797.", part(&header)),
    ] {
        assert!(matches!(tos_signature(key, terms.as_bytes()), Err(SignError::DisguisedTerms)), "{terms}");
    }
    for terms in ["", ".", "Be kind. Or go.", "Kind.Be", "e30 is an object in base64url. Is it not?", "{}.{}"]
    {
        assert!(tos_signature(key, terms.as_bytes()).is_ok(), "{terms}");
    }
}
