//! Requests that are odd before anyone looks at what they ask for: too long, on the wrong path, with the wrong verb.

use super::bad_input::{NOTE, Watched};
use crate::agent::{APPLY, CREATE, DELETE, PUT};
use crate::raw;
use crate::target::Target;

/// More than any endpoint takes.
const FAR_TOO_LONG: usize = 16 * 1024 * 1024;

/// 413 at once where the length is announced, and no body is read that nobody will look at.
pub async fn bodies_over_their_limit_are_not_read(target: &Target) {
    let watched = Watched::new(target).await;
    let agent = &watched.agent;
    for nsid in [CREATE, PUT, DELETE, APPLY] {
        // Nothing of the body is ever sent: a host that wanted to read it would wait for ever.
        let announced = head(&watched, nsid, &format!("Content-Length: {FAR_TOO_LONG}"));
        let announced = raw::exchange(target, announced.as_bytes()).await;
        watched.unchanged("a body that is announced", &announced, 413, "PayloadTooLarge").await;
    }
    let compressed = [("content-encoding", b"gzip".as_slice()), ("content-type", b"application/json")];
    let proof = agent.proof(CREATE).sign(&agent.key);
    let authorization = format!("DPoP {}", agent.token);
    let headers =
        [&compressed[..], &[("dpop", proof.as_bytes()), ("authorization", authorization.as_bytes())]]
            .concat();
    let answer = target.send("POST", &target.xrpc(CREATE), &headers, watched.body("1").into()).await;
    assert!(matches!(answer.status, 400 | 415), "{answer}");
    // A stranger's body is not read either.
    raw::exchange(target, strangers(target, 100_000).as_bytes()).await.refused_with(401);
    assert_eq!(agent.head().await, watched.head);
}

/// Who reads nothing before everything is written is answered as well, and does not find a connection that is closed.
pub async fn who_sends_everything_first_gets_the_answer(target: &Target) {
    let watched = Watched::new(target).await;
    for nsid in [CREATE, PUT, DELETE, APPLY] {
        // The last chunk never comes. It is refused as soon as the limit is passed.
        let mut endless = head(&watched, nsid, "Transfer-Encoding: chunked").into_bytes();
        for _ in 0..FAR_TOO_LONG / 65_536 {
            endless.extend_from_slice(b"10000\r\n");
            endless.resize(endless.len() + 65_536, b' ');
            endless.extend_from_slice(b"\r\n");
        }
        let chunked = raw::exchange(target, &endless).await;
        watched.unchanged("a body in chunks", &chunked, 413, "PayloadTooLarge").await;
    }
    let mut whole = strangers(target, 3_000_000).into_bytes();
    whole.resize(whole.len() + 3_000_000, b' ');
    for _ in 0..10 {
        raw::write_then_read(target, &whole).await.refused_with(401);
    }
}

/// The head of a request of the agent's, whose body has the length that is given as a header.
fn head(watched: &Watched, nsid: &str, length: &str) -> String {
    let agent = &watched.agent;
    let proof = agent.proof(nsid).sign(&agent.key);
    format!(
        "POST /xrpc/{nsid} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAuthorization: DPoP {}\r\n\
         DPoP: {proof}\r\n{length}\r\n\r\n",
        agent.target.authority(),
        agent.token
    )
}

/// The head of a request of nobody's.
fn strangers(target: &Target, length: usize) -> String {
    format!(
        "POST /xrpc/{CREATE} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        target.authority()
    )
}

/// Unknown methods, wrong verbs, odd paths.
pub async fn strange_requests_are_answered(target: &Target) {
    let watched = Watched::new(target).await;
    for nsid in [
        "com.atproto.repo.noSuchMethod",
        "com.example.own",
        "app.bsky.feed.getTimeline",
        "x",
        "com.atproto.repo.createRecord.x",
    ] {
        for method in ["GET", "POST"] {
            let answer = target.send(method, &target.xrpc(nsid), &[], Default::default()).await;
            watched.unchanged(nsid, &answer, 501, "MethodNotImplemented").await;
        }
    }
    for (method, nsid) in [
        ("GET", CREATE),
        ("PUT", CREATE),
        ("DELETE", APPLY),
        ("POST", "com.atproto.repo.getRecord"),
        ("POST", "com.atproto.sync.getRepo"),
    ] {
        let answer = target.send(method, &target.xrpc(nsid), &[], Default::default()).await;
        watched.unchanged(nsid, &answer, 405, "InvalidRequest").await;
    }
    let answer = target.send("GET", &format!("{}/api/signup", target.url), &[], Default::default()).await;
    answer.refused_with(405);
    for path in ["/nothing/here", "/xrp", "/api", "/.well-known/nothing", "/%00/x", "/a%2Fb/c"] {
        let answer = target.get(path).await;
        watched.unchanged(path, &answer, 404, "NotFound").await;
    }
    // What an HTTP client would put right before it sends it.
    let long = "a".repeat(200_000);
    for line in [
        "GET /xrpc/../../etc/passwd HTTP/1.1".to_owned(),
        "GET /../../etc/passwd HTTP/1.1".to_owned(),
        "GET /xrpc/com.atproto.repo.getRecord\0 HTTP/1.1".to_owned(),
        "GET /xrpc/com.atproto.repo.get\u{e9} HTTP/1.1".to_owned(),
        "NONSENSE".to_owned(),
        format!("GET /{long} HTTP/1.1"),
        "POST /xrpc/com.atproto.repo.createRecord HTTP/1.1\r\nContent-Length: -1".to_owned(),
        "POST /xrpc/com.atproto.repo.createRecord HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6"
            .to_owned(),
        "POST /xrpc/com.atproto.repo.createRecord HTTP/1.1\r\nContent-Length: 99999999999999999999999"
            .to_owned(),
    ] {
        refused(target, &line).await;
    }
    assert_eq!(watched.agent.head().await, watched.head);
}

/// What a server in front of the host may put right, or take as it is, before the host sees it.
pub async fn a_target_without_a_slash_and_a_header_without_end_are_refused(target: &Target) {
    let watched = Watched::new(target).await;
    for line in ["GET xrpc HTTP/1.1".to_owned(), format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(200_000))] {
        refused(target, &line).await;
    }
    assert_eq!(watched.agent.head().await, watched.head);
}

/// A request that begins with `line` is refused, and not because the host failed.
async fn refused(target: &Target, line: &str) {
    let request = format!("{line}\r\nHost: {}\r\n\r\n", target.authority());
    let answer = raw::exchange(target, request.as_bytes()).await;
    assert!((400..=501).contains(&answer.status) && answer.status != 500, "{answer}");
}

/// Bad encoding, the same parameter twice, far too long.
pub async fn strange_queries_are_answered(target: &Target) {
    let watched = Watched::new(target).await;
    let did = &watched.agent.did;
    let good = format!("repo={did}&collection={NOTE}&rkey=there");
    target.get(&format!("/xrpc/com.atproto.repo.getRecord?{good}&unknown=1")).await.ok();
    for query in [
        String::new(),
        "repo".to_owned(),
        format!("repo={did}&collection={NOTE}"),
        good.replace("there", "%"),
        good.replace("there", "%zz"),
        good.replace("there", "%ff"),
        good.replace("there", "%c0%af"),
        good.replace("there", "%00"),
        good.replace("there", "%2e%2e"),
        good.replace("there", "..%2f..%2fx"),
        format!("{good}&rkey=other"),
        format!("{good}&rkey=there"),
        format!("{good}&cid=x"),
        format!("{good}&cid=%00"),
    ] {
        let answer = target.get(&format!("/xrpc/com.atproto.repo.getRecord?{query}")).await;
        watched.unchanged(&query, &answer, 400, "InvalidRequest").await;
    }
    let long = format!("/xrpc/com.atproto.repo.getRecord?{good}&x={}", "x".repeat(20_000));
    let answer = target.get(&long).await;
    assert!(matches!(answer.status, 400 | 414 | 431), "{answer}");
    assert_eq!(watched.agent.head().await, watched.head);
}
