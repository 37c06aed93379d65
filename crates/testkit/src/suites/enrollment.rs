//! From a key to an account.

use crate::agent::{TestAgent, signup, signup_body};
use crate::forge::{Jwt, b64u};
use crate::keys::{TestKey, unique};
use crate::target::{Target, text};
use futures_util::future::join_all;
use rookery_auth::mint::Signer;
use serde_json::{Value, json};

const COLLECTION: &str = "com.example.enrollment";

/// RS256 is the baseline; ES256 and EdDSA are listed in welcome.md.
pub async fn every_algorithm_enrolls_and_writes(target: &Target) {
    for key in [TestKey::rsa(0), TestKey::p256(), TestKey::ed25519()] {
        let agent = TestAgent::enroll_as(target, key, &unique()).await;
        assert!(agent.did.starts_with("did:plc:"), "{}", agent.did);
        let written = agent.create(COLLECTION, json!({"alg": agent.key.jwk().alg().as_str()})).await;
        assert_eq!(text(&agent.get(COLLECTION, written.rkey()).await.ok(), "cid"), written.cid);
    }
}

/// WelcomeMat: the parts that welcome.md must have.
pub async fn welcome_md_has_the_required_parts(target: &Target) {
    let answer = target.get("/.well-known/welcome.md").await;
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.header("content-type").starts_with("text/markdown"), "{}", answer.header("content-type"));
    let page = answer.text();
    assert!(page.starts_with("# "), "the service's name is the first heading");
    let domain = target.handle_domain().await;
    let needed = [
        "## Requirements",
        "DPoP",
        "RS256",
        "ES256",
        "EdDSA",
        "4096",
        "## Endpoints",
        "/tos",
        "/api/signup",
        "/xrpc/",
        "## Enrollment flow",
        "tos_signature",
        "access_token",
        "\"cnf\"",
        "tos_hash",
        "wm+jwt",
        "dpop+jwt",
        "ath",
        &domain,
    ];
    for part in needed {
        assert!(page.contains(part), "welcome.md does not say {part:?}");
    }
    let again = target.get("/.well-known/welcome.md").await;
    assert_eq!(again.body, answer.body, "welcome.md is static");
}

/// What is signed is what is served, byte for byte.
pub async fn the_exact_bytes_of_the_terms_are_signed(target: &Target) {
    let answer = target.get("/tos").await;
    assert!(answer.header("content-type").starts_with("text/plain"), "{}", answer.header("content-type"));
    let terms = target.terms().await;
    assert_eq!(terms, answer.body);
    let key = TestKey::p256();
    let other = [terms.as_ref(), b"\n"].concat();
    for altered in [other.as_slice(), &terms[..terms.len() - 1], b""] {
        let mut body = signup_body(target, &key, &terms, &unique());
        body["tos_signature"] = b64u(&key.sign(altered).unwrap()).into();
        signup(target, &key, &body).await.refused(400, "InvalidSignature");
        let body = signup_body(target, &key, altered, &unique());
        signup(target, &key, &body).await.refused_with(400);
    }
    signup(target, &key, &signup_body(target, &key, &terms, &unique())).await.ok();
}

/// A key that is enrolled keeps its account, whatever handle it names this time.
pub async fn a_known_key_consents_again_and_keeps_its_account(target: &Target) {
    let first = TestAgent::enroll(target).await;
    let written = first.create(COLLECTION, json!({})).await;
    for handle in [first.handle.clone(), unique()] {
        let again = TestAgent::enroll_as(target, first.key.clone(), &handle).await;
        assert_eq!((&again.did, &again.handle), (&first.did, &first.handle));
        assert_eq!(again.get(COLLECTION, written.rkey()).await.status, 200);
        again.create(COLLECTION, json!({})).await;
    }
    first.create(COLLECTION, json!({"with": "the first token"})).await;
}

/// However many enrollments of one key run at once, there is one account.
pub async fn one_key_has_one_account_under_concurrency(target: &Target) {
    let terms = target.terms().await;
    for same_handle in [true, false] {
        let (key, handle) = (TestKey::p256(), unique());
        let attempts = (0..8).map(|_| {
            let handle = if same_handle { handle.clone() } else { unique() };
            let body = signup_body(target, &key, &terms, &handle);
            let key = key.clone();
            async move { signup(target, &key, &body).await }
        });
        let mut accounts = Vec::new();
        for answer in join_all(attempts).await {
            if answer.status == 200 {
                accounts.push((text(&answer.json(), "did"), text(&answer.json(), "handle")));
            } else {
                answer.refused_with(409);
            }
        }
        assert!(!accounts.is_empty(), "one of them must win");
        let agent = TestAgent::enroll_as(target, key, &unique()).await;
        for account in accounts {
            assert_eq!(account, (agent.did.clone(), agent.handle.clone()), "one key, one account");
        }
    }
}

/// A handle belongs to one account.
pub async fn a_taken_handle_is_refused_in_every_spelling(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let terms = target.terms().await;
    let label = agent.handle.split('.').next().unwrap().to_owned();
    for spelling in [label.clone(), label.to_uppercase(), agent.handle.clone(), agent.handle.to_uppercase()] {
        let key = TestKey::p256();
        signup(target, &key, &signup_body(target, &key, &terms, &spelling)).await.refused(409, "HandleTaken");
        TestAgent::enroll_as(target, key, &unique()).await;
    }
}

/// Of agents that race for a handle one gets it.
pub async fn of_agents_racing_for_a_handle_exactly_one_wins(target: &Target) {
    let terms = target.terms().await;
    for _ in 0..5 {
        let handle = unique();
        let attempts = (0..4).map(|_| {
            let key = TestKey::p256();
            let body = signup_body(target, &key, &terms, &handle);
            async move { signup(target, &key, &body).await }
        });
        let answers = join_all(attempts).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "{answers:?}");
        for answer in lost {
            answer.refused(409, "HandleTaken");
        }
        let won = won[0].json();
        let params = [("handle", won["handle"].as_str().unwrap())];
        let resolved = target.query("com.atproto.identity.resolveHandle", &params).await.ok();
        assert_eq!(text(&resolved, "did"), text(&won, "did"));
    }
}

/// One label of 3 to 63 letters, digits and hyphens under the domain of the host, none that is reserved.
pub async fn handles_that_cannot_be_had_are_refused_by_name(target: &Target) {
    let (terms, domain, key) = (target.terms().await, target.handle_domain().await, TestKey::p256());
    let long = "a".repeat(64);
    let table = [
        ("ab", "InvalidHandle"),
        (long.as_str(), "InvalidHandle"),
        ("-abc", "InvalidHandle"),
        ("abc-", "InvalidHandle"),
        ("a_bc", "InvalidHandle"),
        ("a bc", "InvalidHandle"),
        ("abc\u{0}", "InvalidHandle"),
        ("älice", "InvalidHandle"),
        ("xn--lice-loa", "InvalidHandle"),
        ("..", "UnsupportedDomain"),
        ("../abc", "UnsupportedDomain"),
        ("alice.elsewhere.example", "UnsupportedDomain"),
        ("www", "HandleReserved"),
        ("ADMIN", "HandleReserved"),
    ];
    for (handle, name) in table {
        signup(target, &key, &signup_body(target, &key, &terms, handle)).await.refused(400, name);
    }
    let two_labels = format!("a.{}{domain}", unique());
    signup(target, &key, &signup_body(target, &key, &terms, &two_labels))
        .await
        .refused(400, "UnsupportedDomain");
    let reserved = format!("www{domain}");
    signup(target, &key, &signup_body(target, &key, &terms, &reserved)).await.refused(400, "HandleReserved");
    signup(target, &key, &signup_body(target, &key, &terms, "")).await.refused_with(400);
}

/// `alice` and `alice.example.com`, in any case.
pub async fn short_and_full_handles_are_taken(target: &Target) {
    let domain = target.handle_domain().await;
    let [short, full] = [unique(), unique()];
    let agent = TestAgent::enroll_as(target, TestKey::p256(), &short.to_uppercase()).await;
    assert_eq!(agent.handle, format!("{short}{domain}"));
    let agent =
        TestAgent::enroll_as(target, TestKey::p256(), &format!("{full}{domain}").to_uppercase()).await;
    assert_eq!(agent.handle, format!("{full}{domain}"));
    let longest = &unique().repeat(4)[..63];
    let agent = TestAgent::enroll_as(target, TestKey::p256(), longest).await;
    assert_eq!(agent.handle, format!("{longest}{domain}"));
    // There are few of the shortest; on a host that others use this one may be gone.
    let (key, terms) = (TestKey::p256(), target.terms().await);
    let answer = signup(target, &key, &signup_body(target, &key, &terms, &unique()[..3])).await;
    assert!(answer.status == 200 || answer.error() == "HandleTaken", "{answer}");
}

/// `ref` is kept as it came, fragment and all.
pub async fn the_entry_url_is_taken_verbatim(target: &Target) {
    let terms = target.terms().await;
    for entry in [
        json!("https://example.com/join?x=1#invite=%F0%9F%90%A6"),
        json!("not even a URL \u{1f426}"),
        Value::Null,
    ] {
        let key = TestKey::ed25519();
        let mut body = signup_body(target, &key, &terms, &unique());
        body["ref"] = entry;
        signup(target, &key, &body).await.ok();
    }
    let key = TestKey::ed25519();
    let mut body = signup_body(target, &key, &terms, &unique());
    body["ref"] = "x".repeat(3000).into();
    signup(target, &key, &body).await.refused_with(400);
    body["ref"] = json!(["https://example.com"]);
    signup(target, &key, &body).await.refused_with(400);
}

/// Bodies that are no enrollment; none of them holds the handle.
pub async fn bad_enrollments_are_refused_and_hold_no_handle(target: &Target) {
    let (terms, key, other, handle) = (target.terms().await, TestKey::p256(), TestKey::p256(), unique());
    let good = signup_body(target, &key, &terms, &handle);
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body
    };
    let without = |member: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(member);
        body
    };
    let token = Jwt::token(&key, &terms, &target.url);
    let mut longer = terms.to_vec();
    longer.push(b' ');
    let table = [
        (without("handle"), "InvalidRequest"),
        (without("tos_signature"), "InvalidRequest"),
        (without("access_token"), "InvalidRequest"),
        (with("handle", json!(5)), "InvalidRequest"),
        (with("handle", json!("x".repeat(300))), "InvalidRequest"),
        (with("tos_signature", json!("*")), "InvalidRequest"),
        (with("tos_signature", json!("AAAA")), "InvalidSignature"),
        (with("tos_signature", json!(b64u(&other.sign(&terms).unwrap()))), "InvalidSignature"),
        (with("tos_signature", json!(b64u(&key.sign(&longer).unwrap()))), "InvalidSignature"),
        (with("access_token", json!("a.b.c")), "InvalidToken"),
        (with("access_token", json!(token.sign(&other))), "InvalidToken"),
        (with("access_token", json!(Jwt::token(&other, &terms, &target.url).sign(&other))), "InvalidToken"),
        (with("access_token", json!(Jwt::token(&key, &longer, &target.url).sign(&key))), "InvalidToken"),
        (
            with("access_token", json!(token.clone().claim("aud", "https://elsewhere.example").sign(&key))),
            "InvalidToken",
        ),
        (with("access_token", json!(token.clone().head("typ", "JWT").sign(&key))), "InvalidToken"),
        (with("access_token", json!(token.clone().claim("exp", 1).sign(&key))), "InvalidToken"),
        (
            with(
                "access_token",
                json!(token.clone().claim("cnf", json!({"jkt": other.thumbprint()})).sign(&key)),
            ),
            "InvalidToken",
        ),
        (with("recoveryKey", json!("did:key:zzzz")), "InvalidRequest"),
        (with("recoveryKey", json!("did:plc:ewvi7nxzyoun6zhxrhs64oiz")), "InvalidRequest"),
        (with("recoveryKey", json!(7)), "InvalidRequest"),
        (json!([]), "InvalidRequest"),
        (json!("text"), "InvalidRequest"),
    ];
    for (body, name) in table {
        let answer = signup(target, &key, &body).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, name), "{body}: {answer}");
    }
    bad_bytes(target, &key, &good).await;
    TestAgent::enroll_as(target, TestKey::p256(), &handle).await;
}

/// The same for bodies that are not JSON, and for proofs.
async fn bad_bytes(target: &Target, key: &TestKey, good: &Value) {
    let url = format!("{}/api/signup", target.url);
    let text = good.to_string();
    let twice = text.replacen('{', "{\"handle\":\"other\",", 1);
    let long = format!("{}{}", text, " ".repeat(64 * 1024));
    let cases: [(&str, &[u8], u16); 5] = [
        ("application/json", b"{", 400),
        ("application/json", twice.as_bytes(), 400),
        ("application/json", b"\xff", 400),
        ("text/plain", text.as_bytes(), 400),
        ("application/json", long.as_bytes(), 413),
    ];
    for (content_type, body, status) in cases {
        let proof = Jwt::proof(key, "POST", &url, None).sign(key);
        let headers = [("dpop", proof.as_bytes()), ("content-type", content_type.as_bytes())];
        target.send("POST", &url, &headers, body.to_vec().into()).await.refused_with(status);
    }
    let token = crate::target::text(good, "access_token");
    for (proof, why) in [
        (Jwt::proof(key, "POST", &url, Some(&token)), "ath where there is no token"),
        (Jwt::proof(key, "POST", &target.xrpc("api.signup"), None), "another htu"),
        (Jwt::proof(key, "GET", &url, None), "another htm"),
    ] {
        let proof = proof.sign(key);
        let headers = [("dpop", proof.as_bytes()), ("content-type", b"application/json".as_slice())];
        let answer = target.send("POST", &url, &headers, text.clone().into()).await;
        assert_eq!(answer.status, 401, "{why}: {answer}");
        answer.challenged("invalid_dpop_proof");
    }
    let headers = [("content-type", b"application/json".as_slice())];
    target.send("POST", &url, &headers, text.into()).await.challenged("invalid_dpop_proof");
}

/// A key of 2048 bits is too short to be an account.
pub async fn a_short_rsa_key_is_refused(target: &Target) {
    let (terms, key) = (target.terms().await, TestKey::short_rsa());
    let answer = signup(target, &key, &signup_body(target, &key, &terms, &unique())).await;
    answer.challenged("invalid_dpop_proof");
    assert!(answer.message().contains("4096"), "the message says what would do: {answer}");
}
