//! The arrows between the crates, and that the inner ones stay free of hosts, read from `cargo metadata`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Which crates of this workspace each may name. `testkit` speaks HTTP to whatever it tests.
const ARROWS: [(&str, &[&str]); 8] = [
    ("rookery-atproto", &[]),
    ("rookery-auth", &["rookery-atproto"]),
    ("rookery-pds", &["rookery-atproto", "rookery-auth"]),
    ("rookery-client", &["rookery-atproto", "rookery-auth"]),
    ("rookery", &["rookery-atproto", "rookery-auth", "rookery-pds", "rookery-client"]),
    // Natively it is empty and names nothing; for wasm32 it names the three inner crates.
    ("rookery-cloudflare", &["rookery-atproto", "rookery-auth", "rookery-pds"]),
    ("rookery-testkit", &["rookery-atproto", "rookery-auth", "rookery-client"]),
    ("rookery-bench", &["rookery-atproto", "rookery-auth", "rookery-client", "rookery-testkit"]),
];

/// Crates that compile to wasm and ask a host for everything.
const INNER: [&str; 3] = ["rookery-atproto", "rookery-auth", "rookery-pds"];

/// What only hosts may depend on, directly or not.
const OF_HOSTS: [&str; 6] = ["tokio", "rusqlite", "reqwest", "mio", "worker", "wasm-bindgen"];

#[test]
fn crates_depend_on_each_other_only_along_the_arrows() {
    let graph = Graph::read();
    let members: BTreeSet<&str> = graph.members.iter().map(|id| graph.names[id].as_str()).collect();
    for id in &graph.members {
        let name = graph.names[id].as_str();
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            panic!("{name} is new in the workspace: say in ARROWS what it may depend on");
        };
        for dependency in &graph.normal[id] {
            let dependency = graph.names[dependency].as_str();
            if members.contains(dependency) {
                assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
            }
        }
    }
}

/// Asked of `cargo tree`, which turns on the features that the crate itself asks for and not those of the whole workspace.
#[test]
fn the_inner_crates_depend_on_nothing_that_belongs_to_a_host() {
    for inner in INNER {
        let mut command = cargo();
        command.args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", inner]);
        let tree = run(&mut command);
        let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        for name in OF_HOSTS {
            assert!(
                !reached.contains(name),
                "{inner} depends on {name}; cargo tree -i {name} -p {inner} -e normal says why"
            );
        }
        assert!(reached.contains("serde"), "the dependencies of {inner} were not found: {tree}");
    }
}

/// Packages by id, with their normal dependencies as they are resolved for this machine.
struct Graph {
    members: Vec<String>,
    names: BTreeMap<String, String>,
    normal: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read() -> Self {
        let metadata = metadata();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let names =
            list(&metadata["packages"]).iter().map(|it| (text(&it["id"]), text(&it["name"]))).collect();
        let is_normal = |it: &Value| list(&it["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let normal = |node: &Value| {
            let dependencies = list(&node["deps"]);
            dependencies.iter().filter(|it| is_normal(it)).map(|it| text(&it["pkg"])).collect()
        };
        Self {
            members: list(&metadata["workspace_members"]).iter().map(text).collect(),
            names,
            normal: list(&metadata["resolve"]["nodes"])
                .iter()
                .map(|node| (text(&node["id"]), normal(node)))
                .collect(),
        }
    }
}

fn metadata() -> Value {
    let host = run(Command::new("rustc").arg("-vV"));
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &host]);
    serde_json::from_str(&run(&mut command)).unwrap()
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
