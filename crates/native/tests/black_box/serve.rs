//! The server as a process: settings, locks, keys, signals, restarts.

use crate::server::{Server, block_on, rookery, serve};
use rookery_testkit::agent::{APPLY, CREATE, record};
use rookery_testkit::forge::Jwt;
use rookery_testkit::{Target, TestAgent, repo};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NOTE: &str = "com.example.serve";
const ATTEMPTS: usize = 300;
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a server that cannot start; what it says.
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The agent at a server that was started anew. Proofs of the second in which it started may be refused.
pub(crate) async fn write_when_taken(agent: &TestAgent, target: &Target) -> TestAgent {
    let agent = agent.at(target).await;
    for _ in 0..ATTEMPTS {
        let input = json!({"collection": NOTE, "record": record(NOTE, json!({}))});
        let answer = agent.call(CREATE, input).await;
        if answer.status == 200 {
            return agent;
        }
        answer.challenged("invalid_dpop_proof");
        tokio::time::sleep(PAUSE).await;
    }
    panic!("no proof was taken after the restart");
}

#[test]
fn bare_rookery_serves_with_settings_from_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = rookery();
    command.current_dir(dir.path()).env("ROOKERY_LISTEN", "127.0.0.1:0").env("ROOKERY_DATA_DIR", &data);
    let server = Server::run(command);
    block_on(async {
        TestAgent::enroll(&server.target).await.create(NOTE, json!({})).await;
    });
    assert!(data.join("rookery.db").exists());
}

#[test]
fn the_names_of_the_loopback_are_one_origin() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let port = server.target.url.rsplit(':').next().unwrap().to_owned();
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let terms = server.target.terms().await;
        let names = ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"];
        for aud in names {
            for htu in names {
                let token = Jwt::token(&agent.key, &terms, &format!("http://{aud}:{port}")).sign(&agent.key);
                let proof = Jwt::proof(
                    &agent.key,
                    "POST",
                    &format!("http://{htu}:{port}/xrpc/{CREATE}"),
                    Some(&token),
                );
                let (authorization, proof) = (format!("DPoP {token}"), proof.sign(&agent.key));
                let headers = [
                    ("authorization", authorization.as_bytes()),
                    ("dpop", proof.as_bytes()),
                    ("content-type", b"application/json".as_slice()),
                ];
                let body = json!({"repo": agent.did, "collection": NOTE, "record": record(NOTE, json!({}))});
                let url = server.target.xrpc(CREATE);
                server.target.send("POST", &url, &headers, body.to_string().into()).await.ok();
            }
        }
    });
}

#[test]
fn a_path_that_is_no_text_is_a_did_that_is_not_registered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        for path in ["/did:plc:%e2", "/%ff/log/audit", "/did:web:example.com/data"] {
            server.target.get(path).await.refused(404, "NotFound");
        }
    });
}

#[test]
fn a_second_server_on_the_same_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let said = refusal(serve(dir.path()));
    assert!(said.contains("another rookery") && said.contains("--data-dir"), "{said}");
    // The first goes on.
    block_on(async {
        TestAgent::enroll(&server.target).await.create(NOTE, json!({})).await;
    });
}

#[test]
fn a_port_in_use_and_nonsense_settings_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("one"));
    let address = server.target.authority().to_owned();
    let with = |name: &str, value: &str| {
        let mut command = rookery();
        command
            .args(["serve", "--listen", &address, "--data-dir"])
            .arg(dir.path().join("two"))
            .env(name, value);
        refusal(command)
    };
    let said = with("UNUSED", "");
    assert!(said.contains(&address), "{said}");
    for (name, value) in [
        ("ROOKERY_HOSTNAME", "https://pds.example.com/"),
        ("ROOKERY_MASTER_KEY", "secret"),
        ("ROOKERY_PLC_URL", "plc"),
        ("ROOKERY_HANDLE_DOMAIN", ".localhost"),
        ("ROOKERY_TERMS_FILE", "/does/not/exist"),
        ("ROOKERY_RELAY_HOSTS", "https://bsky.network"),
        ("ROOKERY_RELAY_ACCOUNT_CAP", "none"),
    ] {
        let said = with(name, value);
        assert!(said.starts_with("error: "), "{name}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let mut command = rookery();
    command.args(["serve", "--listen", "nowhere"]);
    assert!(refusal(command).contains("nowhere"));
}

#[cfg(unix)]
#[test]
fn the_master_key_is_the_owners_alone_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let agent = block_on(TestAgent::enroll(&server.target));
    let path = dir.path().join("master.key");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    server.kill();

    let key = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let said = refusal(serve(dir.path()));
    assert!(said.contains("master.key") && said.contains("backup"), "{said}");
    assert!(!path.exists(), "a new key would make the accounts unusable");
    let mut wrong = serve(dir.path());
    wrong.env("ROOKERY_MASTER_KEY", "0".repeat(64));
    let said = refusal(wrong);
    assert!(said.starts_with("error: "), "{said}");

    // From the environment it needs no file.
    let mut command = serve(dir.path());
    command.env("ROOKERY_MASTER_KEY", key.trim());
    let server = Server::run(command);
    block_on(async {
        write_when_taken(&agent, &server.target).await;
        repo::verified(&server.target, &agent.did).await;
    });
    assert!(!path.exists());
}

#[test]
fn no_secret_is_in_the_database_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(TestAgent::enroll(&server.target));
    let key = std::fs::read_to_string(dir.path().join("master.key")).unwrap();
    server.audit();
    server.kill();
    let key = data_encoding::HEXLOWER.decode(key.trim().as_bytes()).unwrap();
    for entry in dir.path().read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rookery.db")) {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(key.len()).any(|window| window == key), "{}", path.display());
        }
    }
}

#[test]
fn accounts_and_records_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (agent, written) = block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let written = agent.create(NOTE, json!({"text": "still here"})).await;
        (agent, written)
    });
    let head = block_on(agent.head());
    server.kill();
    let server = Server::start(dir.path());
    block_on(async {
        let here = TestAgent { target: server.target.clone(), ..agent.clone() };
        assert_eq!(here.head().await, head);
        assert_eq!(here.get(NOTE, written.rkey()).await.ok()["cid"], written.cid);
        let again = write_when_taken(&agent, &server.target).await;
        assert!(again.head().await.1 > head.1);
        let enrolled = TestAgent::enroll_as(&server.target, agent.key.clone(), "another").await;
        assert_eq!((enrolled.did, enrolled.handle), (agent.did.clone(), agent.handle.clone()));
        repo::verified(&server.target, &agent.did).await;
    });
}

#[test]
fn a_used_proof_is_refused_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let port = server.target.url.rsplit(':').next().unwrap().to_owned();
    let agent = block_on(TestAgent::enroll(&server.target));
    // A clock that is ahead: this proof is from after the restart, as far as its `iat` tells.
    let ahead =
        |iat: i64| agent.proof(CREATE).claim("iat", rookery_testkit::target::now() + iat).sign(&agent.key);
    let (used, fresh) = (ahead(200), ahead(200));
    let (used_now, fresh_now) = (ahead(0), ahead(0));
    block_on(async {
        write_with(&agent, &used).await.ok();
        write_with(&agent, &used_now).await.ok();
    });
    let head = block_on(agent.head());
    server.kill();
    let mut command = rookery();
    let listen = format!("127.0.0.1:{port}");
    command.args(["serve", "--log", "error", "--listen", &listen, "--data-dir"]).arg(dir.path());
    let server = Server::run(command);
    assert_eq!(server.target.url, agent.target.url);
    block_on(async {
        for used in [&used, &used_now] {
            write_with(&agent, used).await.challenged("invalid_dpop_proof");
        }
        assert_eq!(agent.head().await, head);
        // One from before the restart that was never used is refused or works; then it is used up.
        write_with(&agent, &fresh).await.ok();
        write_with(&agent, &fresh).await.challenged("invalid_dpop_proof");
        let _ = write_with(&agent, &fresh_now).await;
        write_with(&agent, &fresh_now).await.challenged("invalid_dpop_proof");
    });
}

async fn write_with(agent: &TestAgent, proof: &str) -> rookery_testkit::Answer {
    let authorization = format!("DPoP {}", agent.token);
    let headers = [
        ("authorization", authorization.as_bytes()),
        ("dpop", proof.as_bytes()),
        ("content-type", b"application/json".as_slice()),
    ];
    let body = json!({"repo": agent.did, "collection": NOTE, "record": record(NOTE, json!({}))});
    agent.target.send("POST", &agent.target.xrpc(CREATE), &headers, body.to_string().into()).await
}

#[test]
fn an_append_writes_few_rows_whatever_the_size_of_the_repo() {
    const APPENDS: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        for size in [0, 2000] {
            for _ in 0..size / 200 {
                let creates: Vec<_> = (0..200)
                    .map(|n| json!({"$type": format!("{APPLY}#create"), "collection": NOTE, "value": record(NOTE, json!({ "n": n }))}))
                    .collect();
                agent.call(APPLY, json!({ "writes": creates })).await.ok();
            }
            let before = written(&server.target).await;
            for n in 0..APPENDS {
                agent.create(NOTE, json!({ "n": n })).await;
            }
            let after = written(&server.target).await;
            let [commits, jobs, rows, log_bytes] = [0, 1, 2, 3].map(|at| after[at] - before[at]);
            assert_eq!((commits, jobs), (APPENDS, APPENDS));
            // Head, record, event, proof, and each node of the tree once that has its last record.
            assert!((4 * APPENDS..5 * APPENDS).contains(&rows), "{rows} rows after {size} records");
            assert!((APPENDS * 4 * 4096..APPENDS * 16 * 4096).contains(&log_bytes), "{log_bytes} bytes");
        }
    });
}

/// Commits, jobs, rows and bytes of the log, as `_health` tells them.
async fn written(target: &Target) -> [u64; 4] {
    let health = target.get("/xrpc/_health").await.ok();
    ["commits", "jobs", "rows", "logBytes"].map(|name| health["store"][name].as_u64().unwrap())
}

#[test]
fn changed_terms_count_at_once_until_the_agent_consents_again() {
    let dir = tempfile::tempdir().unwrap();
    let terms = dir.path().join("terms.txt");
    // Another name each time: a change is seen however coarse the file system's clock is.
    let replace = |text: &str| {
        let new = dir.path().join("new.txt");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &terms).unwrap();
    };
    replace("Be kind.\n");
    let mut command = serve(&dir.path().join("data"));
    command.env("ROOKERY_TERMS_FILE", &terms);
    let server = Server::run(command);
    block_on(async {
        let target = &server.target;
        let agent = TestAgent::enroll(target).await;
        assert_eq!(target.terms().await, "Be kind.\n");
        agent.create(NOTE, json!({})).await;
        let head = agent.head().await;

        replace("Be kind, and brief. \u{1f426}\r\n");
        assert_eq!(target.terms().await, "Be kind, and brief. \u{1f426}\r\n");
        let input = json!({"collection": NOTE, "record": record(NOTE, json!({}))});
        agent.call(CREATE, input.clone()).await.refused(401, "tos_changed");
        assert_eq!(agent.head().await, head);
        // Reading needs no consent.
        repo::verified(target, &agent.did).await;

        let again = TestAgent::enroll_as(target, agent.key.clone(), &agent.handle).await;
        assert_eq!(again.did, agent.did);
        again.create(NOTE, json!({})).await;
        agent.call(CREATE, input.clone()).await.refused(401, "tos_changed");

        // Terms that are gone stop enrollment and writes, not the server.
        std::fs::remove_file(&terms).unwrap();
        assert_eq!(target.get("/tos").await.status, 503);
        assert_eq!(again.call(CREATE, input).await.status, 503);
        target.get("/xrpc/_health").await.ok();
        replace("Be kind.\n");
        agent.create(NOTE, json!({})).await;
    });
}

#[cfg(unix)]
#[test]
fn a_stop_under_load_is_graceful_and_loses_nothing_acknowledged() {
    const AGENTS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (exit, acknowledged) = block_on(async {
        let mut agents = Vec::new();
        for _ in 0..AGENTS {
            agents.push(TestAgent::enroll(&server.target).await);
        }
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = agents
            .into_iter()
            .map(|agent| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    // Until the server stops answering.
                    loop {
                        let input = json!({"collection": NOTE, "record": record(NOTE, json!({}))});
                        let Ok(answer) = agent.try_call(CREATE, input).await else { return };
                        if answer.status == 503 {
                            return;
                        }
                        let written = rookery_testkit::agent::Written::of(&answer);
                        let path = format!("{NOTE}/{}", written.rkey());
                        sender.send((agent.did.clone(), path, written.cid)).unwrap();
                    }
                })
            })
            .collect();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 40 {
            acknowledged.push(receiver.recv().await.unwrap());
        }
        server.terminate();
        for writer in writers {
            writer.await.unwrap();
        }
        while let Ok(written) = receiver.try_recv() {
            acknowledged.push(written);
        }
        (server.wait().0, acknowledged)
    });
    assert!(exit.success(), "{exit}");
    check_all(dir.path(), &acknowledged);
}

/// After a start on this directory, every write that was acknowledged is there.
fn check_all(dir: &Path, acknowledged: &[(String, String, String)]) {
    let server = Server::start(dir);
    block_on(async {
        for (did, path, cid) in acknowledged {
            let (collection, rkey) = path.split_once('/').unwrap();
            let params = [("repo", did.as_str()), ("collection", collection), ("rkey", rkey)];
            let got = server.target.query("com.atproto.repo.getRecord", &params).await.ok();
            assert_eq!(got["cid"], cid.as_str());
        }
        let dids: std::collections::BTreeSet<_> = acknowledged.iter().map(|(did, ..)| did).collect();
        for did in dids {
            repo::verified(&server.target, did).await;
        }
    });
}
