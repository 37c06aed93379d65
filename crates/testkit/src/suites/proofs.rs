//! Every check of RFC 9449 section 4.3, one fault at a time.

use crate::agent::{CREATE, TestAgent, record};
use crate::answer::Answer;
use crate::forge::{Jwt, b64u, resigned, sign_text, signature_of};
use crate::keys::{TestKey, unique};
use crate::target::{Target, now};
use data_encoding::BASE64;
use futures_util::future::join_all;
use rookery_auth::mint::Signer;
use serde_json::{Value, json};

const COLLECTION: &str = "com.example.proof";

type Headers<'a> = &'a [(&'a str, &'a [u8])];

/// A good write with these headers instead of the agent's own.
async fn write_with(agent: &TestAgent, headers: Headers<'_>) -> Answer {
    let body = json!({"repo": agent.did, "collection": COLLECTION, "record": record(COLLECTION, json!({}))});
    let mut all = vec![("content-type", b"application/json".as_slice())];
    all.extend_from_slice(headers);
    agent.target.send("POST", &agent.target.xrpc(CREATE), &all, body.to_string().into()).await
}

/// The same with a proof, and the agent's own token.
async fn write_with_proof(agent: &TestAgent, proof: &str) -> Answer {
    let authorization = format!("DPoP {}", agent.token);
    write_with(agent, &[("authorization", authorization.as_bytes()), ("dpop", proof.as_bytes())]).await
}

/// Form, type, algorithm, key, signature, method, URI, time, identifier, token hash.
pub async fn every_fault_of_a_proof_is_refused(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let before = agent.head().await;
    let mut faults = faults_of_form(&agent);
    faults.extend(faults_of_header(&agent));
    faults.extend(faults_of_key(&agent));
    faults.extend(faults_of_claims(&agent));
    for (fault, proof) in faults {
        let answer = write_with_proof(&agent, &proof).await;
        assert_eq!(answer.status, 401, "{fault}: {answer}");
        answer.challenged("invalid_dpop_proof");
    }
    assert_eq!(agent.head().await, before);
}

type Fault = (&'static str, String);

fn faults_of_form(agent: &TestAgent) -> Vec<Fault> {
    let good = agent.proof(CREATE);
    let key = &agent.key;
    let jws = || agent.proof(CREATE).sign(key);
    let parts = |jws: &str| jws.split('.').map(str::to_owned).collect::<Vec<_>>();
    let [header, payload, signature] = <[String; 3]>::try_from(parts(&jws())).unwrap();
    // Three question marks in a row, wherever they stand, have a `/` in them.
    let standard = BASE64.encode(good.clone().head("kid", "?????").header.to_string().as_bytes());
    assert!(standard.contains('/'));
    let twice = |object: &Value, member: &str| object.to_string().replacen('{', &format!("{{{member},"), 1);
    let flipped = || {
        let mut signature = signature_of(&jws());
        signature[10] ^= 1;
        resigned(&jws(), &signature)
    };
    vec![
        ("not a JWS", "abc".into()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{}.{signature}", jws())),
        ("JSON instead of compact", good.header.to_string().replace([' ', ','], "")),
        ("padded base64", format!("{}=", jws())),
        ("standard base64", format!("{}.{payload}.{signature}", standard.trim_end_matches('='))),
        ("header is not JSON", sign_text("{", &good.payload.to_string(), key)),
        ("header is an array", sign_text("[]", &good.payload.to_string(), key)),
        ("payload is not JSON", sign_text(&good.header.to_string(), "jti", key)),
        ("payload is text", sign_text(&good.header.to_string(), "\"jti\"", key)),
        ("payload nests deep", sign_text(&good.header.to_string(), &"[".repeat(2000), key)),
        (
            "typ twice",
            sign_text(&twice(&good.header, "\"typ\":\"dpop+jwt\""), &good.payload.to_string(), key),
        ),
        ("iat twice", sign_text(&good.header.to_string(), &twice(&good.payload, "\"iat\":1"), key)),
        ("too long", good.clone().claim("padding", "x".repeat(9000)).sign(key)),
        ("no signature", resigned(&jws(), &[])),
        ("short signature", resigned(&jws(), &signature_of(&jws())[..63])),
        ("altered signature", flipped()),
        ("signature of zeros", resigned(&jws(), &[0; 64])),
        ("signature of another proof", resigned(&jws(), &signature_of(&jws()))),
    ]
}

fn faults_of_header(agent: &TestAgent) -> Vec<Fault> {
    let good = || agent.proof(CREATE);
    let key = &agent.key;
    let sign = |jwt: Jwt| jwt.sign(key);
    let unsigned = |alg: &str| resigned(&sign(good().head("alg", alg)), &[]);
    vec![
        ("no typ", sign(good().headless("typ"))),
        ("typ of a token", sign(good().head("typ", "wm+jwt"))),
        ("typ JWT", sign(good().head("typ", "JWT"))),
        ("typ is a number", sign(good().head("typ", 1))),
        ("no alg", sign(good().headless("alg"))),
        ("alg none", unsigned("none")),
        ("alg none with a signature", sign(good().head("alg", "none"))),
        ("alg NONE", unsigned("NONE")),
        ("alg HS256", sign(good().head("alg", "HS256"))),
        ("alg ES256K", sign(good().head("alg", "ES256K"))),
        ("alg of another key type", sign(good().head("alg", "RS256"))),
        ("alg EdDSA on P-256", sign(good().head("alg", "EdDSA"))),
        ("alg in lower case", sign(good().head("alg", "es256"))),
        ("crit", sign(good().head("crit", json!(["exp"])))),
        ("empty crit", sign(good().head("crit", json!([])))),
        ("b64", sign(good().head("b64", false))),
    ]
}

fn faults_of_key(agent: &TestAgent) -> Vec<Fault> {
    let good = || agent.proof(CREATE);
    let key = &agent.key;
    let sign = |jwt: Jwt| jwt.sign(key);
    let jwk = key.jwk().to_json();
    let with = |member: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[member] = value;
        sign(good().head("jwk", jwk))
    };
    let (other, short) = (TestKey::p256(), TestKey::short_rsa());
    let of_other =
        |other: &TestKey| Jwt::proof(other, "POST", &agent.target.xrpc(CREATE), Some(&agent.token));
    vec![
        ("no jwk", sign(good().headless("jwk"))),
        ("jwk is text", sign(good().head("jwk", "key"))),
        ("jwk is null", sign(good().head("jwk", Value::Null))),
        ("private d", with("d", json!(b64u(&[1; 32])))),
        ("private p", with("p", json!("AQ"))),
        ("symmetric k", with("k", json!("AQ"))),
        ("symmetric key", sign(good().head("jwk", json!({"kty": "oct", "k": "AQAB"})).head("alg", "HS256"))),
        ("unknown kty", with("kty", json!("EC2"))),
        ("unknown curve", with("crv", json!("P-384"))),
        ("x is short", with("x", json!(b64u(&[1; 31])))),
        ("x is not base64url", with("x", json!("*"))),
        ("no y", with("y", Value::Null)),
        ("a point off the curve", with("x", json!(b64u(&[1; 32])))),
        ("key for encryption", with("use", json!("enc"))),
        ("key that may not verify", with("key_ops", json!(["sign"]))),
        ("key for another algorithm", with("alg", json!("ES384"))),
        ("jwk of another key", sign(good().head("jwk", other.jwk().to_json()))),
        ("RSA of 2048 bits", of_other(&short).sign(&short)),
    ]
}

fn faults_of_claims(agent: &TestAgent) -> Vec<Fault> {
    let good = || agent.proof(CREATE);
    let sign = |jwt: Jwt| jwt.sign(&agent.key);
    let (url, path) = (&agent.target.url, format!("/xrpc/{CREATE}"));
    let htu = |htu: String| sign(good().claim("htu", htu));
    vec![
        ("no htm", sign(good().without("htm"))),
        ("htm GET", sign(good().claim("htm", "GET"))),
        ("htm in lower case", sign(good().claim("htm", "post"))),
        ("htm is null", sign(good().claim("htm", Value::Null))),
        ("no htu", sign(good().without("htu"))),
        ("htu is a path", htu(path.clone())),
        ("htu of another method", htu(agent.target.xrpc("com.atproto.repo.putRecord"))),
        ("htu with a slash more", htu(format!("{url}{path}/"))),
        ("htu of another host", htu(format!("https://elsewhere.example{path}"))),
        ("htu with another scheme", htu(format!("ftp{}", &format!("{url}{path}")[4..]))),
        ("htu with a user", htu(format!("{url}{path}").replacen("://", "://x@", 1))),
        ("htu on another port", htu(format!("http://localhost:1{path}"))),
        ("htu in other case", htu(format!("{url}{path}").replace("createRecord", "createrecord"))),
        ("no iat", sign(good().without("iat"))),
        ("iat is text", sign(good().claim("iat", now().to_string()))),
        ("iat has a fraction", sign(good().claim("iat", json!(1.5)))),
        ("iat too old", sign(good().claim("iat", now() - 310))),
        ("iat of 1970", sign(good().claim("iat", 0))),
        ("iat in the future", sign(good().claim("iat", now() + 330))),
        ("iat out of all bounds", sign(good().claim("iat", i64::MAX))),
        ("iat below all bounds", sign(good().claim("iat", i64::MIN))),
        ("no jti", sign(good().without("jti"))),
        ("empty jti", sign(good().claim("jti", ""))),
        ("jti is a number", sign(good().claim("jti", 5))),
        ("long jti", sign(good().claim("jti", "j".repeat(300)))),
        ("no ath", sign(good().without("ath"))),
        ("ath of another token", sign(good().claim("ath", b64u(&[3; 32])))),
        ("ath is empty", sign(good().claim("ath", ""))),
        ("ath is a number", sign(good().claim("ath", 5))),
    ]
}

/// Missing, several, of another scheme.
pub async fn faults_of_the_headers_are_refused(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let before = agent.head().await;
    let proof = || agent.proof(CREATE).sign(&agent.key);
    let dpop = format!("DPoP {}", agent.token);

    let none = write_with(&agent, &[]).await;
    none.refused_with(401);
    assert!(none.header("www-authenticate").starts_with("DPoP"), "{:?}", none.headers);
    let only_proof = write_with(&agent, &[("dpop", proof().as_bytes())]).await;
    only_proof.refused_with(401);
    assert!(only_proof.header("www-authenticate").starts_with("DPoP"));

    let authorization: [(&str, Vec<u8>); 8] = [
        ("Bearer", format!("Bearer {}", agent.token).into()),
        ("Basic", b"Basic eDp5".to_vec()),
        ("no scheme", agent.token.clone().into()),
        ("no token", b"DPoP".to_vec()),
        ("an empty token", b"DPoP ".to_vec()),
        ("two tokens", format!("{dpop} {}", agent.token).into()),
        ("not ASCII", b"DPoP \xff\xfe".to_vec()),
        ("joined", format!("{dpop}, {dpop}").into()),
    ];
    for (fault, value) in authorization {
        let answer = write_with(&agent, &[("authorization", &value), ("dpop", proof().as_bytes())]).await;
        assert_eq!(answer.status, 401, "{fault}: {answer}");
        answer.challenged("invalid_token");
    }
    let twice = [("authorization", dpop.as_bytes()), ("authorization", dpop.as_bytes())];
    let (one, two) = (proof(), proof());
    write_with(&agent, &[twice[0], twice[1], ("dpop", one.as_bytes())]).await.challenged("invalid_token");

    let joined = format!("{one}, {two}");
    let proofs: [(&str, Headers<'_>); 5] = [
        ("no proof", &[]),
        ("two proofs", &[("dpop", one.as_bytes()), ("dpop", two.as_bytes())]),
        ("joined proofs", &[("dpop", joined.as_bytes())]),
        ("an empty proof", &[("dpop", b"")]),
        ("not ASCII", &[("dpop", b"\xff")]),
    ];
    for (fault, headers) in proofs {
        let answer = write_with(&agent, &[&twice[..1], headers].concat()).await;
        assert_eq!(answer.status, 401, "{fault}: {answer}");
        answer.challenged("invalid_dpop_proof");
    }
    assert_eq!(agent.head().await, before);
}

/// RFC 3986 normalisation of `htu`, media type spellings, members that nobody knows.
pub async fn proofs_that_differ_only_in_spelling_are_taken(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let good = || agent.proof(CREATE);
    let url = agent.target.xrpc(CREATE);
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut jwk = agent.key.jwk().to_json();
    jwk["kid"] = "any".into();
    jwk["use"] = "sig".into();
    let table = [
        ("as it is", good()),
        (
            "host and scheme in capitals",
            good().claim("htu", format!("{}://{}/{path}", scheme.to_uppercase(), host.to_uppercase())),
        ),
        ("a query", good().claim("htu", format!("{url}?x=1"))),
        ("a fragment", good().claim("htu", format!("{url}#x"))),
        ("percent-encoding", good().claim("htu", url.replace("createRecord", "%63reateRecord"))),
        ("dot segments", good().claim("htu", url.replace("/xrpc/", "/a/../xrpc/./"))),
        ("typ as a media type", good().head("typ", "application/DPoP+jwt")),
        ("other members", good().head("kid", "x").claim("other", json!({"a": [1]}))),
        ("a key with other members", good().head("jwk", jwk)),
        ("a clock behind", good().claim("iat", now() - 280)),
        ("a clock ahead", good().claim("iat", now() + 280)),
        ("a nonce nobody asked for", good().claim("nonce", "n")),
    ];
    for (what, proof) in table {
        let answer = write_with_proof(&agent, &proof.sign(&agent.key)).await;
        assert_eq!(answer.status, 200, "{what}: {answer}");
    }
    let (authorization, proof) = (format!("dpop   {}", agent.token), good().sign(&agent.key));
    write_with(&agent, &[("authorization", authorization.as_bytes()), ("dpop", proof.as_bytes())]).await.ok();
}

/// Once, also when it is sent ten times at once, and also for another body.
pub async fn a_proof_works_once(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let proof = agent.proof(CREATE).sign(&agent.key);
    write_with_proof(&agent, &proof).await.ok();
    write_with_proof(&agent, &proof).await.challenged("invalid_dpop_proof");
    // The identifier is what is used up, not the signature over it.
    let same_jti = Jwt::clone(&agent.proof(CREATE)).claim("jti", "same");
    write_with_proof(&agent, &same_jti.sign(&agent.key)).await.ok();
    write_with_proof(&agent, &same_jti.claim("iat", now() - 5).sign(&agent.key))
        .await
        .challenged("invalid_dpop_proof");
    // Another key may use the same identifier.
    let other = TestAgent::enroll(target).await;
    write_with_proof(&other, &other.proof(CREATE).claim("jti", "same").sign(&other.key)).await.ok();

    let before = agent.head().await;
    let proof = agent.proof(CREATE).claim("jti", unique()).sign(&agent.key);
    let answers = join_all((0..10).map(|_| write_with_proof(&agent, &proof))).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.challenged("invalid_dpop_proof");
    }
    assert_ne!(agent.head().await, before);
}
