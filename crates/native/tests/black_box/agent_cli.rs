//! `rookery agent …` against a server, as a person or a script would call it.

use crate::server::{Server, block_on, rookery};
use rookery_testkit::repo;
use serde_json::Value;
use std::path::Path;
use std::process::Output;

const NOTE: &str = "com.example.note";

/// One home with agents in it.
struct Home<'a>(&'a Path);

impl Home<'_> {
    fn run(&self, args: &[&str]) -> Output {
        rookery().arg("agent").args(args).env("ROOKERY_HOME", self.0).output().unwrap()
    }

    /// With `--json`: one value on stdout, nothing on stderr.
    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
    }

    /// The same for what must fail, with exit code 1.
    fn refused(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(value["error"].is_string() && value["message"].is_string(), "{value}");
        value
    }
}

#[test]
fn an_agent_enrolls_and_keeps_records_from_the_command_line() {
    let (data, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(data.path());
    let (url, home) = (server.target.url.as_str(), Home(home.path()));

    let enrolled = home.json(&["enroll", url, "alice", "--alg", "es256"]);
    let did = enrolled["did"].as_str().unwrap();
    assert_eq!(enrolled["handle"], "alice.test");
    assert!(enrolled["recoveryKey"].as_str().unwrap().starts_with("did:key:"));
    let me = home.json(&["whoami"]);
    assert_eq!((me["did"].as_str(), me["handle"].as_str()), (Some(did), Some("alice.test")));

    let created = home.json(&["create", NOTE, r#"{"text":"first words"}"#]);
    let uri = created["uri"].as_str().unwrap();
    assert!(uri.starts_with(&format!("at://{did}/{NOTE}/")), "{uri}");
    let rkey = uri.rsplit('/').next().unwrap();
    let record = format!("{NOTE}/{rkey}");
    for address in [record.as_str(), uri] {
        let got = home.json(&["get", address]);
        assert_eq!((&got["value"]["text"], &got["cid"]), (&"first words".into(), &created["cid"]));
        assert_eq!(got["value"]["$type"], NOTE);
    }

    let put = home.json(&["put", &format!("{NOTE}/self"), r#"{"n":9223372036854775807}"#]);
    assert!(put["commit"].is_object());
    let again = home.json(&["put", &format!("{NOTE}/self"), r#"{"n":9223372036854775807}"#]);
    assert!(again.get("commit").is_none_or(Value::is_null), "{again}");
    assert_eq!(home.json(&["get", &format!("{NOTE}/self")])["value"]["n"], i64::MAX);

    let page = home.json(&["list", NOTE]);
    assert_eq!(page["records"].as_array().unwrap().len(), 2);
    let page = home.json(&["list", NOTE, "--limit", "1", "--reverse"]);
    assert_eq!(page["records"][0]["uri"], uri);
    assert!(page["cursor"].is_string());

    assert!(home.json(&["delete", &record])["commit"].is_object());
    let none = home.json(&["delete", &record]);
    assert!(none.get("commit").is_none_or(Value::is_null), "{none}");
    assert_eq!(home.refused(&["get", &record])["error"], "RecordNotFound");
    let repo = block_on(repo::verified(&server.target, did));
    assert_eq!(repo.records.into_keys().collect::<Vec<_>>(), [format!("{NOTE}/self")]);
}

#[test]
fn several_agents_share_a_home_and_text_is_for_people() {
    let (data, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(data.path());
    let (url, home) = (server.target.url.as_str(), Home(home.path()));
    for (name, alg) in [("carol", "eddsa"), ("dave", "es256")] {
        let output = home.run(&["enroll", url, name, "--alg", alg, "--no-recovery-key"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(&format!("enrolled {name}.test")), "{text}");
    }
    // The one enrolled last, unless another is named.
    assert_eq!(home.json(&["whoami"])["handle"], "dave.test");
    assert_eq!(home.json(&["--profile", "carol", "whoami"])["handle"], "carol.test");
    let note = home.json(&["--profile", "carol", "create", NOTE, "{}"]);
    assert_eq!(home.json(&["get", note["uri"].as_str().unwrap()])["cid"], note["cid"]);
    assert!(home.json(&["list", NOTE])["records"].as_array().unwrap().is_empty());

    // Enrolling again is consenting again: the same account.
    let before = home.json(&["--profile", "carol", "whoami"])["did"].clone();
    assert_eq!(home.json(&["enroll", url, "carol"])["did"], before);

    let other = tempfile::tempdir().unwrap();
    let other = Home(other.path());
    assert_eq!(other.refused(&["enroll", url, "carol", "--alg", "es256"])["error"], "HandleTaken");
    other.refused(&["whoami"]);
    let output = other.run(&["whoami"]);
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    assert_eq!(home.run(&["create", "not-an-nsid", "{}"]).status.code(), Some(2));
    home.refused(&["create", NOTE, "{\"broken\""]);
    home.refused(&["create", NOTE, "{\"x\":1.5}"]);
}

#[cfg(unix)]
#[test]
fn keys_are_readable_by_their_owner_alone_and_never_printed() {
    use std::os::unix::fs::PermissionsExt;
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(data.path());
    let home = Home(dir.path());
    let output = home.run(&["enroll", &server.target.url, "erin", "--alg", "es256", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let mut open = vec![dir.path().to_owned()];
    let mut files = 0;
    while let Some(path) = open.pop() {
        let metadata = path.metadata().unwrap();
        if metadata.is_dir() {
            open.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let secret = path.extension().is_some_and(|extension| extension == "key" || extension == "pem");
        if secret || text.contains("PRIVATE KEY") {
            assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
            for line in text.lines().filter(|line| line.len() >= 32 && !line.contains("--")) {
                assert!(!String::from_utf8_lossy(&output.stdout).contains(line), "a secret was printed");
            }
        }
    }
    assert!(files >= 2, "{files} files");
}
