use super::*;
use http::Request;
use std::collections::BTreeSet;

const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

/// Every route, with a request that its owner is told from.
fn table() -> Vec<(&'static str, &'static str, String, Owner)> {
    let did = || Owner::Did(DID.parse().unwrap());
    let handle = || Owner::Handle("alice.example.com".parse().unwrap());
    let key = || Owner::Key(thumbprint());
    let row = |method, path: &'static str, query: &str, owner| (method, path, query.to_owned(), owner);
    let by_did = |path: &'static str| row("GET", path, &format!("did={DID}&cid=x"), did());
    vec![
        row("GET", "/", "", Owner::Nobody),
        row("GET", "/tos", "", Owner::Nobody),
        row("POST", "/api/signup", "", key()),
        row("GET", "/.well-known/welcome.md", "", Owner::Nobody),
        row("GET", "/.well-known/atproto-did", "", Owner::Nobody),
        row("GET", "/.well-known/did.json", "", Owner::Nobody),
        row("GET", "/xrpc/_health", "", Owner::Sequencer),
        row("GET", "/xrpc/com.atproto.identity.resolveHandle", "handle=alice.example.com", Owner::Nobody),
        row("GET", "/xrpc/com.atproto.server.describeServer", "", Owner::Nobody),
        row("GET", "/xrpc/com.atproto.repo.getRecord", &format!("rkey=a&repo={DID}"), did()),
        row("GET", "/xrpc/com.atproto.repo.listRecords", "repo=did%3Aplc%3Aewvi7nxzyoun6zhxrhs64oiz", did()),
        row("GET", "/xrpc/com.atproto.repo.describeRepo", "repo=alice.example.com", handle()),
        row("POST", "/xrpc/com.atproto.repo.createRecord", "", key()),
        row("POST", "/xrpc/com.atproto.repo.putRecord", "", key()),
        row("POST", "/xrpc/com.atproto.repo.deleteRecord", "", key()),
        row("POST", "/xrpc/com.atproto.repo.applyWrites", "", key()),
        row("POST", "/xrpc/com.atproto.repo.uploadBlob", "", key()),
        row("GET", "/xrpc/com.atproto.repo.listMissingBlobs", "limit=1", key()),
        by_did("/xrpc/com.atproto.sync.getRepo"),
        by_did("/xrpc/com.atproto.sync.getLatestCommit"),
        by_did("/xrpc/com.atproto.sync.getRepoStatus"),
        by_did("/xrpc/com.atproto.sync.getBlob"),
        by_did("/xrpc/com.atproto.sync.listBlobs"),
        row("GET", "/xrpc/com.atproto.sync.getBlocks", &format!("cids=a&did={DID}&cids=b"), did()),
        by_did("/xrpc/com.atproto.sync.getRecord"),
        row("GET", "/xrpc/com.atproto.sync.listRepos", &format!("did={DID}"), Owner::Nobody),
        row("GET", "/xrpc/com.atproto.sync.listReposByCollection", "", Owner::Nobody),
        row("GET", "/{did}", "", Owner::Plc),
        row("POST", "/{did}", "", Owner::Plc),
        row("GET", "/{did}/data", "", Owner::Plc),
        row("GET", "/{did}/log", "", Owner::Plc),
        row("GET", "/{did}/log/audit", "", Owner::Plc),
        row("GET", "/{did}/log/last", "", Owner::Plc),
        // A host's own.
        row("GET", "/xrpc/com.atproto.sync.subscribeRepos", "cursor=1", Owner::Sequencer),
    ]
}

/// A proof whose signature nobody looks at.
fn proof() -> String {
    let b64u = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let header = format!(
        r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{}"}}}}"#,
        data_encoding::BASE64URL_NOPAD.encode(&[7; 32])
    );
    let payload = r#"{"jti":"abcdefghijklmnop","htm":"POST","htu":"http://localhost/","iat":1750000000}"#;
    format!("{}.{}.{}", b64u(&header), b64u(payload), data_encoding::BASE64URL_NOPAD.encode(&[1; 64]))
}

fn thumbprint() -> Thumbprint {
    rookery_auth::jwk::PublicJwk::Ed25519 { x: [7; 32] }.thumbprint()
}

fn owner_of(method: &str, target: &str, proofs: &[&str]) -> Owner {
    let mut request = Request::builder().method(method).uri(target);
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    owner(&request.body(()).unwrap().into_parts().0)
}

fn target(path: &str, query: &str) -> String {
    let path = path.replace("{did}", DID);
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

#[test]
fn every_route_has_an_owner() {
    for (method, path, query, expected) in table() {
        assert_eq!(owner_of(method, &target(path, &query), &[&proof()]), expected, "{method} {path}?{query}");
    }
}

#[test]
fn every_route_of_the_router_is_in_the_table() {
    let sources = [include_str!("../router.rs"), include_str!("../../plc/routes.rs")];
    let routes = sources.iter().flat_map(|source| source.split(".route(\"").skip(1));
    let known: BTreeSet<&str> = table().iter().map(|(_, path, ..)| *path).collect();
    let mut count = 0;
    for route in routes {
        let (path, _) = route.split_once('"').unwrap();
        assert!(known.contains(path), "whose is {path}? `http/route.rs` must say, and this table");
        count += 1;
    }
    assert_eq!(count, known.len() - 1, "all but the host's own are in the router");
}

#[test]
fn a_head_asks_like_a_get_a_preflight_for_nothing_and_other_methods_for_nothing_of_an_account() {
    for (method, path, query, expected) in table() {
        let by_path = matches!(expected, Owner::Sequencer | Owner::Plc);
        for other in
            ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", if method == "GET" { "POST" } else { "GET" }]
        {
            let as_get = other == "HEAD" && method == "GET" || by_path && other != "OPTIONS";
            let expected = if as_get { expected.clone() } else { Owner::Nobody };
            assert_eq!(owner_of(other, &target(path, &query), &[&proof()]), expected, "{other} {path}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_nobodys() {
    let get = |target: &str| owner_of("GET", target, &[]);
    for query in [
        "",
        "?did=",
        "?did=alice.example.com",
        "?did=did:plc",
        "?did=%zz",
        "?did=%ff",
        &format!("?did={DID}&did={DID}"),
        &format!("?did={DID}&x=%"),
        &format!("?did={DID}&x={}", "x".repeat(10_000)),
    ] {
        assert_eq!(get(&format!("/xrpc/com.atproto.sync.getRepo{query}")), Owner::Nobody, "{query:.50}");
    }
    for query in ["", "?repo=", "?repo=alice", "?repo=did:plc", &format!("?did={DID}")] {
        assert_eq!(get(&format!("/xrpc/com.atproto.repo.listRecords{query}")), Owner::Nobody, "{query}");
    }
    for path in ["//", "/xrpc/", "/xrpc", "/xrpc/com.atproto.sync.getRepo/", "/did:plc", "/did:web:a"] {
        assert_eq!(get(&format!("{path}?did={DID}&repo={DID}")), Owner::Nobody, "{path}");
    }

    let post = |proofs: &[&str]| owner_of("POST", "/xrpc/com.atproto.repo.createRecord", proofs);
    let (good, long) = (proof(), "x".repeat(100_000));
    let cut = good.rsplit_once('.').unwrap().0;
    for proofs in [&[][..], &[""], &["a.b.c"], &[cut], &[&long], &[&good, &good]] {
        assert_eq!(post(proofs), Owner::Nobody, "{proofs:.50?}");
    }
    assert_eq!(post(&[&good]), Owner::Key(thumbprint()));
}

#[test]
fn a_did_in_the_path_may_be_encoded() {
    for path in ["/did:plc:a", "/did%3Aplc%3aa/log", "/did%3Aplc:a?x"] {
        assert_eq!(owner_of("GET", path, &[]), Owner::Plc, "{path}");
    }
}

#[test]
fn a_read_goes_to_its_repo_whoever_asks() {
    let target = format!("/xrpc/com.atproto.sync.getBlob?did={DID}&cid=x");
    assert_eq!(owner_of("GET", &target, &[&proof()]), owner_of("GET", &target, &[]));
}
