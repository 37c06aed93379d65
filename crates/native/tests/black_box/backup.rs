//! `rookery backup`, and servers that are started on what it made.

use crate::serve::write_when_taken;
use crate::server::{Server, block_on, rookery, serve};
use rookery_testkit::agent::{CREATE, PUT, cid_of, record};
use rookery_testkit::firehose::audit::{ends_signup, mark};
use rookery_testkit::firehose::{Auditor, Begin, Body, Event, Frame, Subscription};
use rookery_testkit::{TestAgent, repo};
use serde_json::json;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::spawn_blocking;

const NOTE: &str = "com.example.backup";
const WRITERS: usize = 6;
/// Writes of each before the backup begins.
const BEFORE: usize = 20;

/// Writes until `stop`; the URIs and CIDs of what was acknowledged.
async fn write_on(agent: Arc<TestAgent>, stop: Arc<AtomicBool>) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    while acknowledged.len() < BEFORE || !stop.load(Ordering::Relaxed) {
        let bytes = format!("{} {}", agent.did, acknowledged.len());
        let blob = agent.upload(Some("text/plain"), bytes).await;
        let input = json!({"collection": NOTE, "record": record(NOTE, json!({ "file": blob }))});
        let answer = agent.call(CREATE, input).await.ok();
        acknowledged.push((answer["uri"].as_str().unwrap().to_owned(), cid_of(&blob)));
    }
    acknowledged
}

fn backup(data_dir: &Path, to: &Path) -> Output {
    rookery().arg("backup").arg("--data-dir").arg(data_dir).arg(to).output().unwrap()
}

fn backed_up(data_dir: &Path, to: &Path) -> String {
    let output = backup(data_dir, to);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(data_dir: &Path, to: &Path) -> String {
    let output = backup(data_dir, to);
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The events after a cursor, up to the signup of `last`.
async fn events_after(server: &Server, cursor: u64, last: &str) -> Vec<Event> {
    let mut stream = Subscription::open(&server.target, Some(cursor)).await;
    let mut ends = ends_signup(last);
    let mut events = Vec::new();
    loop {
        match stream.next().await.unwrap().frame {
            Frame::Event(event) => {
                let ended = ends(&event);
                events.push(event);
                if ended {
                    return events;
                }
            }
            other => panic!("expected an event, found {other:?}"),
        }
    }
}

#[test]
fn a_backup_of_a_server_at_work_has_all_that_was_acknowledged_and_the_network_is_told_of_the_restore() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = other.path().join("backup");
    let server = Server::start(dir.path());
    let (agents, before, told) = block_on(async {
        let (stop, mut agents, mut writers) = (Arc::new(AtomicBool::new(false)), Vec::new(), Vec::new());
        for _ in 0..WRITERS {
            let agent = Arc::new(TestAgent::enroll(&server.target).await);
            let first = write_on(Arc::clone(&agent), Arc::new(AtomicBool::new(true))).await;
            writers.push(tokio::spawn(write_on(Arc::clone(&agent), Arc::clone(&stop))));
            agents.push((agent, first));
        }
        let (data, copy) = (dir.path().to_owned(), to.clone());
        let said = spawn_blocking(move || backed_up(&data, &copy)).await.unwrap();
        assert!(said.contains("active accounts") && said.contains("master key"), "{said}");
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            assert!(!writer.await.unwrap().is_empty());
        }
        // What comes after the backup is lost.
        let lost = TestAgent::enroll(&server.target).await;
        for (agent, _) in &agents {
            agent.create(NOTE, json!({"lost": true})).await;
        }
        let end = mark(&server.target).await;
        let told = events_after(&server, 0, &end).await;
        assert!(told.iter().any(|event| event.did.as_str() == lost.did));
        let (agents, before): (Vec<_>, Vec<_>) = agents.into_iter().unzip();
        (agents, before, told)
    });
    drop(server);

    let server = Server::start(&to);
    block_on(async {
        for (agent, before) in agents.iter().zip(before) {
            let restored = repo::verified(&server.target, &agent.did).await;
            for (uri, blob) in before {
                let path = uri.strip_prefix(&format!("at://{}/", agent.did)).unwrap();
                assert!(restored.records.contains_key(path), "{uri} was acknowledged before the backup");
                let answer = agent.at(&server.target).await.get_blob(&blob).await;
                assert_eq!(answer.status, 200, "{answer}");
            }
            write_when_taken(agent, &server.target).await;
        }
        // A subscriber that has seen what is lost goes on with its cursor, and is told of every repo.
        let end = mark(&server.target).await;
        let last = told.last().unwrap().seq;
        let anew = events_after(&server, last, &end).await;
        assert!(anew.iter().all(|event| event.seq > last));
        for agent in &agents {
            let of_agent = |event: &&Event| event.did.as_str() == agent.did;
            let lost_rev = told.iter().filter(of_agent).filter_map(rev).max().unwrap();
            let sync =
                anew.iter().filter(of_agent).find(|event| matches!(event.body, Body::Sync { .. })).unwrap();
            assert!(rev(sync).unwrap() > lost_rev);
        }
    });
    // Once is enough.
    let before = block_on(async { mark(&server.target).await });
    server.audit();
    server.kill();
    let server = Server::start(&to);
    block_on(async {
        let end = mark(&server.target).await;
        let mut auditor = Auditor::new(&server.target, Begin::Genesis);
        let mut stream = Subscription::open(&server.target, Some(0)).await;
        auditor.read_until(&mut stream, ends_signup(&before)).await;
        let rest = auditor.read_until(&mut stream, ends_signup(&end)).await;
        assert_eq!(rest.len(), 2 * 4, "two signups, one of them of the audit, and nothing else");
    });
}

fn rev(event: &Event) -> Option<rookery_atproto::syntax::Tid> {
    match &event.body {
        Body::Commit(commit) => Some(commit.rev),
        Body::Sync { rev, .. } => Some(*rev),
        _ => None,
    }
}

#[test]
fn a_backup_is_whole_or_not_there() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = other.path().join("backup");
    let said = refusal(dir.path(), &to);
    assert!(said.contains("no database"), "{said}");
    let server = Server::start(dir.path());
    let agent = block_on(async {
        let agent = TestAgent::enroll(&server.target).await;
        let blob = agent.upload(Some("a/b"), "referenced").await;
        let input = json!({"collection": NOTE, "rkey": "a", "record": record(NOTE, json!({ "file": blob }))});
        agent.call(PUT, input).await.ok();
        agent.upload(Some("a/b"), "not referenced").await;
        agent
    });
    // Of a server that does not run, too.
    server.audit();
    server.terminate();
    assert!(server.wait().0.success());
    std::fs::create_dir(&to).unwrap();
    backed_up(dir.path(), &to);
    let said = refusal(dir.path(), &to);
    assert!(said.contains("not empty"), "{said}");

    let files = |dir: &Path| -> Vec<_> {
        let folders = dir.join("blobs/objects").read_dir().unwrap();
        folders
            .flat_map(|folder| folder.unwrap().path().read_dir().unwrap())
            .map(|file| file.unwrap().path())
            .collect()
    };
    assert_eq!(files(&to).len(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for name in ["master.key", "rookery.db"] {
            assert_eq!(to.join(name).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
    // A file that is missing: a blob that nothing refers to is left out, one that a record needs is told.
    let named = |text: &str| {
        files(dir.path()).into_iter().find(|file| std::fs::read(file).unwrap() == text.as_bytes())
    };
    std::fs::remove_file(named("not referenced").unwrap()).unwrap();
    let without = other.path().join("without");
    backed_up(dir.path(), &without);
    std::fs::remove_file(named("referenced").unwrap()).unwrap();
    let broken = other.path().join("broken");
    let said = refusal(dir.path(), &broken);
    assert!(said.contains("is missing, although a record refers to it"), "{said}");
    assert!(!broken.exists());

    let server = Server::run(serve(&without));
    block_on(async {
        let agent = write_when_taken(&agent, &server.target).await;
        let blob = agent.upload(Some("a/b"), "not referenced").await;
        agent.put(NOTE, "b", json!({ "file": blob })).await;
        assert_eq!(agent.get_blob(&cid_of(&blob)).await.body, "not referenced");
    });
}
