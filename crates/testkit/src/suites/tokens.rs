//! Every fault of an access token, each with a proof that fits it.

use crate::agent::{CREATE, TestAgent, record};
use crate::answer::Answer;
use crate::forge::{Jwt, b64u, resigned, sign_text, signature_of};
use crate::keys::{TestKey, unique};
use crate::target::{Target, now};
use serde_json::{Value, json};

const COLLECTION: &str = "com.example.token";

/// A good write by this agent with another token.
async fn write_with_token(agent: &TestAgent, token: &str) -> Answer {
    let agent = TestAgent { token: token.to_owned(), ..agent.clone() };
    agent.call(CREATE, json!({"collection": COLLECTION, "record": record(COLLECTION, json!({}))})).await
}

/// Form, type, algorithm, signature, key, audience, time.
pub async fn every_fault_of_a_token_is_refused(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let terms = target.terms().await;
    let before = agent.head().await;
    for (fault, token) in faults(&agent, &terms) {
        // Twice: what is remembered of a token must not make a bad one good.
        for _ in 0..2 {
            let answer = write_with_token(&agent, &token).await;
            assert_eq!(answer.status, 401, "{fault}: {answer}");
            answer.challenged("invalid_token");
        }
    }
    assert_eq!(agent.head().await, before);

    // A token that is good, in the hands of another key.
    let thief = TestAgent::enroll(target).await;
    agent.create(COLLECTION, json!({})).await;
    write_with_token(&thief, &agent.token).await.challenged("invalid_token");
}

fn faults(agent: &TestAgent, terms: &[u8]) -> Vec<(&'static str, String)> {
    let key = &agent.key;
    let good = || Jwt::token(key, terms, &agent.target.url);
    let sign = |jwt: Jwt| jwt.sign(key);
    let other = TestKey::p256();
    let url = agent.target.url.as_str();
    let jws = sign(good());
    let twice = good().payload.to_string().replacen('{', "{\"aud\":\"https://elsewhere.example\",", 1);
    let mut flipped = signature_of(&jws);
    flipped[5] ^= 1;
    vec![
        ("not a JWT", "abc".into()),
        ("two parts", jws.rsplit_once('.').unwrap().0.to_owned()),
        ("a proof as token", Jwt::proof(key, "POST", &agent.target.xrpc(CREATE), None).sign(key)),
        ("no typ", sign(good().headless("typ"))),
        ("typ JWT", sign(good().head("typ", "JWT"))),
        ("typ at+jwt", sign(good().head("typ", "at+jwt"))),
        ("alg none", resigned(&sign(good().head("alg", "none")), &[])),
        ("alg HS256", sign(good().head("alg", "HS256"))),
        ("alg of another key type", sign(good().head("alg", "EdDSA"))),
        ("no alg", sign(good().headless("alg"))),
        ("crit", sign(good().head("crit", json!(["exp"])))),
        ("aud twice", sign_text(&good().header.to_string(), &twice, key)),
        ("too long", sign(good().claim("padding", "x".repeat(9000)))),
        ("altered signature", resigned(&jws, &flipped)),
        ("no signature", resigned(&jws, &[])),
        ("signed by another key", good().sign(&other)),
        ("altered claims", altered(&jws)),
        ("no cnf", sign(good().without("cnf"))),
        ("cnf without jkt", sign(good().claim("cnf", json!({})))),
        ("cnf of another key", sign(good().claim("cnf", json!({"jkt": other.thumbprint()})))),
        ("cnf is no thumbprint", sign(good().claim("cnf", json!({"jkt": "x"})))),
        ("no aud", sign(good().without("aud"))),
        ("aud of another service", sign(good().claim("aud", "https://elsewhere.example"))),
        ("aud with a path", sign(good().claim("aud", format!("{url}/xrpc")))),
        ("aud with another scheme", sign(good().claim("aud", format!("ftp{}", &url[4..])))),
        ("several aud", sign(good().claim("aud", json!([url, "https://elsewhere.example"])))),
        ("aud is the DID", sign(good().claim("aud", agent.did.as_str()))),
        ("no iat", sign(good().without("iat"))),
        ("iat in the future", sign(good().claim("iat", now() + 330))),
        ("iat is text", sign(good().claim("iat", now().to_string()))),
        ("expired", sign(good().claim("exp", now() - 310))),
        ("exp is text", sign(good().claim("exp", "never"))),
        ("exp has a fraction", sign(good().claim("exp", json!(1e12)))),
        ("nbf", sign(good().claim("nbf", 0))),
        ("no tos_hash", sign(good().without("tos_hash"))),
        ("tos_hash is short", sign(good().claim("tos_hash", "AAAA"))),
        ("tos_hash is null", sign(good().claim("tos_hash", Value::Null))),
        ("jti is a number", sign(good().claim("jti", 1))),
    ]
}

/// Another `iat` under the old signature.
fn altered(jws: &str) -> String {
    let parts: Vec<&str> = jws.split('.').collect();
    let payload = data_encoding::BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    payload["iat"] = 1.into();
    format!("{}.{}.{}", parts[0], b64u(payload.to_string().as_bytes()), parts[2])
}

/// The agent signs its tokens itself, as often as it likes.
pub async fn tokens_that_differ_in_what_is_optional_are_taken(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let terms = target.terms().await;
    let good = || Jwt::token(&agent.key, &terms, &target.url);
    let table = [
        ("another one", good()),
        ("no jti", good().without("jti")),
        ("an end that is far", good().claim("exp", now() + 3600)),
        ("old, without an end", good().claim("iat", now() - 400 * 86_400)),
        ("a clock ahead", good().claim("iat", now() + 200)),
        ("aud with a slash", good().claim("aud", format!("{}/", target.url))),
        ("aud in capitals", good().claim("aud", target.url.to_uppercase())),
        ("aud as a list of one", good().claim("aud", json!([target.url]))),
        ("other claims", good().claim("other", json!({"a": 1})).head("kid", "k")),
    ];
    for (what, token) in table {
        let answer = write_with_token(&agent, &token.sign(&agent.key)).await;
        assert_eq!(answer.status, 200, "{what}: {answer}");
    }
}

/// A name of its own, so that an agent knows what to do.
pub async fn a_token_for_other_terms_asks_for_consent(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let before = agent.head().await;
    let token = Jwt::token(&agent.key, b"other terms", &target.url).sign(&agent.key);
    for _ in 0..2 {
        let answer = write_with_token(&agent, &token).await;
        answer.refused(401, "tos_changed");
    }
    assert_eq!(agent.head().await, before);
    // That is said only when nothing else is wrong.
    let token = Jwt::token(&agent.key, b"other terms", "https://elsewhere.example").sign(&agent.key);
    let answer = write_with_token(&agent, &token).await;
    assert_ne!(answer.error(), "tos_changed", "{answer}");
    let again = TestAgent::enroll_as(target, agent.key.clone(), &agent.handle).await;
    again.create(COLLECTION, json!({})).await;
}

/// A key with a good token and no account.
pub async fn a_key_that_never_enrolled_is_told_to(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let key = TestKey::ed25519();
    let token = Jwt::token(&key, &target.terms().await, &target.url).sign(&key);
    let stranger = TestAgent { key: key.clone(), token, ..agent.clone() };
    let answer = stranger
        .call(CREATE, json!({"collection": COLLECTION, "record": record(COLLECTION, json!({}))}))
        .await;
    answer.challenged("invalid_token");
    assert!(answer.message().contains("nroll"), "{answer}");
    // Enrolling makes the very same token good.
    let enrolled = TestAgent::enroll_as(target, key, &unique()).await;
    TestAgent { token: stranger.token, ..enrolled }.create(COLLECTION, json!({})).await;
}
