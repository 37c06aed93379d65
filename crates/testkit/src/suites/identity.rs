//! Who an account is to the rest of the network.

use crate::agent::{TestAgent, signup, signup_body};
use crate::keys::{TestKey, unique};
use crate::repo::did_document;
use crate::target::{Target, text};
use rookery_atproto::crypto::{Curve, PublicKey, SecretKey};
use rookery_atproto::identity::plc::Operation;
use serde_json::{Value, json};

/// The document says where the account is, what it is called, and which key signs.
pub async fn the_did_document_names_handle_host_and_key(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let document = did_document(target, &agent.did).await;
    assert_eq!(document.handle().unwrap().as_str(), agent.handle);
    assert!(document.signing_key().is_some());
    let endpoint = document.pds_endpoint().expect("a host");
    let described = target.query("com.atproto.repo.describeRepo", &[("repo", &agent.did)]).await.ok();
    assert_eq!(described["didDoc"], *document.as_json());
    assert_eq!(described["handleIsCorrect"], true);
    assert_eq!(text(&described, "handle"), agent.handle);
    // The endpoint reaches this host, whatever name it has for itself.
    let there = Target::with_directory(endpoint, &target.directory);
    assert_eq!(there.head(&agent.did).await, target.head(&agent.did).await);
}

/// The DID is the hash of an operation that anyone can check.
pub async fn the_did_is_the_hash_of_its_genesis_operation(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let log = target.get(&format!("{}/{}/log", target.directory, agent.did)).await.ok();
    let genesis = &log.as_array().unwrap()[0];
    let operation = Operation::from_json(genesis.to_string().as_bytes()).unwrap();
    assert_eq!(operation.did_of_genesis().as_str(), agent.did);
    assert_eq!(log.as_array().unwrap().len(), 1);
}

/// The agent's recovery key comes before the server's.
pub async fn the_recovery_key_is_the_first_rotation_key(target: &Target) {
    let terms = target.terms().await;
    let mut servers: Vec<Value> = Vec::new();
    for recovery in [None, Some(Curve::K256), Some(Curve::P256)] {
        let recovery =
            recovery.map(|curve| SecretKey::from_bytes(curve, &[9; 32]).unwrap().public().to_did_key());
        let key = TestKey::p256();
        let mut body = signup_body(target, &key, &terms, &unique());
        body["recoveryKey"] = recovery.clone().map_or(Value::Null, Value::from);
        let agent = TestAgent::of(target, key.clone(), &signup(target, &key, &body).await);
        let data = target.get(&format!("{}/{}/data", target.directory, agent.did)).await.ok();
        let mut rotation = data["rotationKeys"].as_array().unwrap().clone();
        if let Some(recovery) = recovery {
            assert_eq!(rotation.remove(0), recovery);
        }
        assert_eq!(rotation.len(), 1, "then the server's own: {data}");
        PublicKey::from_did_key(rotation[0].as_str().unwrap()).unwrap();
        servers.extend(rotation);
    }
    assert!(servers.windows(2).all(|pair| pair[0] == pair[1]), "the server has one rotation key");
}

/// By XRPC, in any case; what is not here is said so.
pub async fn handles_resolve_in_any_case(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let resolve = |handle: String| async move {
        target.query("com.atproto.identity.resolveHandle", &[("handle", &handle)]).await
    };
    for handle in [agent.handle.clone(), agent.handle.to_uppercase()] {
        assert_eq!(text(&resolve(handle).await.ok(), "did"), agent.did);
    }
    let unknown = resolve(format!("{}{}", unique(), target.handle_domain().await)).await;
    unknown.refused(400, "HandleNotFound");
    assert!(unknown.message().contains("Unable to resolve handle"), "{unknown}");
    for bad in ["", "a", "..", "a\u{0}.test", "did:plc:abc", "-a.test", "a..test"] {
        resolve(bad.to_owned()).await.refused(400, "InvalidRequest");
    }
    target.get("/xrpc/com.atproto.identity.resolveHandle").await.refused(400, "InvalidRequest");
}

/// By the Host header, with capitals and with a port.
pub async fn the_host_header_resolves_a_handle(target: &Target) {
    let agent = TestAgent::enroll(target).await;
    let url = format!("{}/.well-known/atproto-did", target.url);
    let capitals = agent.handle.to_uppercase();
    for host in
        [agent.handle.clone(), capitals.clone(), format!("{}:443", agent.handle), format!("{capitals}:8080")]
    {
        let answer = target.send("GET", &url, &[("host", host.as_bytes())], Default::default()).await;
        assert_eq!(answer.status, 200, "{host}: {answer}");
        assert!(answer.header("content-type").starts_with("text/plain"));
        assert_eq!(answer.text(), agent.did);
    }
    for host in [
        format!("x{}", agent.handle),
        format!("x.{}", agent.handle),
        "localhost".to_owned(),
        "[::1]:80".to_owned(),
    ] {
        let answer = target.send("GET", &url, &[("host", host.as_bytes())], Default::default()).await;
        assert_eq!(answer.status, 404, "{host}: {answer}");
    }
}

/// What the server says of itself.
pub async fn the_server_describes_itself(target: &Target) {
    assert_eq!(target.get("/").await.ok(), json!({"status": "ok"}));
    assert!(!text(&target.get("/xrpc/_health").await.ok(), "version").is_empty());
    let described = target.query("com.atproto.server.describeServer", &[]).await.ok();
    assert!(text(&described, "did").starts_with("did:web:"));
    assert!(target.handle_domain().await.starts_with('.'));
    let document = target.get("/.well-known/did.json").await.ok();
    assert_eq!(text(&document, "id"), text(&described, "did"));
}

/// Open to every origin, and readable: the headers that DPoP needs are allowed and exposed.
pub async fn other_origins_may_read_and_write(target: &Target) {
    let url = target.xrpc("com.atproto.repo.createRecord");
    let headers = [
        ("origin", b"https://app.example".as_slice()),
        ("access-control-request-method", b"POST"),
        ("access-control-request-headers", b"authorization,content-type,dpop"),
    ];
    let answer = target.send("OPTIONS", &url, &headers, Default::default()).await;
    assert!((200..300).contains(&answer.status), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    let allowed = answer.header("access-control-allow-headers").to_ascii_lowercase();
    for name in ["authorization", "content-type", "dpop"] {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    // Errors too, or a browser cannot read why.
    let answer = target.send("POST", &url, &headers[..1], Default::default()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
    for name in ["dpop-nonce", "www-authenticate"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
}
