//! A flood of proofs that are not good.

use super::{Line, limited};
use crate::server::block_on;
use futures_util::future::join_all;
use rookery_testkit::TestAgent;
use rookery_testkit::agent::{CREATE, record};
use rookery_testkit::forge::{Jwt, b64u};
use rookery_testkit::keys::{TestKey, unique};
use serde_json::json;
use std::collections::BTreeMap;

const NOTE: &str = "com.example.proofs";
const PROOFS: usize = 100_000;
const LINES: usize = 10;
/// Requests on a line before their answers are read.
const AT_ONCE: usize = 50;
/// Bytes that the server may grow by.
#[cfg(target_os = "linux")]
const GROWTH: usize = 48 * 1024 * 1024;

/// Writes that are good but for the signatures of their proofs.
#[derive(Clone)]
struct Forger {
    /// Everything before the claims, and everything after.
    before: String,
    claims: String,
    after: String,
}

impl Forger {
    fn new(agent: &TestAgent) -> Self {
        let Jwt { header, payload } = agent.proof(CREATE).claim("jti", "#");
        let (authority, header) = (agent.target.authority(), b64u(header.to_string().as_bytes()));
        Self {
            before: format!(
                "POST /xrpc/{CREATE} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: DPoP {}\r\nDPoP: {header}.",
                agent.token
            ),
            claims: payload.to_string(),
            after: format!(
                ".{}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
                b64u(&[7; 512])
            ),
        }
    }

    /// One with a `jti` that was never seen.
    fn forge(&self, into: &mut Vec<u8>) {
        let claims = b64u(self.claims.replace('#', &unique()).as_bytes());
        for part in [&self.before, &claims, &self.after] {
            into.extend_from_slice(part.as_bytes());
        }
    }
}

#[test]
fn a_hundred_thousand_bad_proofs_leave_the_server_answering() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path(), &[]);
    let target = &server.target;
    block_on(async {
        let agent = TestAgent::enroll_as(target, TestKey::rsa(0), &unique()).await;
        agent.create(NOTE, json!({})).await;
        #[cfg(target_os = "linux")]
        let before = server.peak_memory();
        let forger = Forger::new(&agent);
        let flood = (0..LINES).map(|_| {
            let (target, forger) = (target.clone(), forger.clone());
            tokio::spawn(async move {
                let (mut line, mut statuses) = (Line::open(&target).await, BTreeMap::<_, usize>::new());
                for _ in 0..PROOFS / LINES / AT_ONCE {
                    let mut requests = Vec::new();
                    (0..AT_ONCE).for_each(|_| forger.forge(&mut requests));
                    line.send(&requests).await.unwrap();
                    for _ in 0..AT_ONCE {
                        *statuses.entry(line.status().await.expect("every one is answered")).or_default() +=
                            1;
                    }
                }
                statuses
            })
        });
        let mut statuses = BTreeMap::<u16, usize>::new();
        for line in join_all(flood).await {
            for (status, count) in line.unwrap() {
                *statuses.entry(status).or_default() += count;
            }
        }
        // Few were looked at; those that were under way when the last of them failed come on top.
        assert_eq!(statuses.values().sum::<usize>(), PROOFS);
        assert_eq!(statuses.len(), 2, "{statuses:?}");
        assert!((300..300 + LINES).contains(&statuses[&401]) && statuses.contains_key(&429), "{statuses:?}");
        #[cfg(target_os = "linux")]
        {
            let grown = server.peak_memory() - before;
            assert!(grown < GROWTH, "{grown} bytes");
        }
        // Whoever comes from elsewhere is served.
        let url = target.xrpc(CREATE);
        let (authorization, proof) = (format!("DPoP {}", agent.token), agent.proof(CREATE).sign(&agent.key));
        let headers = [
            ("authorization", authorization.as_bytes()),
            ("dpop", proof.as_bytes()),
            ("content-type", b"application/json".as_slice()),
            ("x-forwarded-for", b"203.0.113.1"),
        ];
        let body = json!({"repo": agent.did, "collection": NOTE, "record": record(NOTE, json!({}))});
        target.send("POST", &url, &headers, body.to_string().into()).await.ok();
    });
}
