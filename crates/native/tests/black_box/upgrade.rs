//! A data directory of an older version.

use crate::serve::write_when_taken;
use crate::server::{Server, block_on};
use rookery_testkit::firehose::audit::{ends_signup, mark};
use rookery_testkit::firehose::{Auditor, Begin, Subscription};
use rookery_testkit::target::text;
use rookery_testkit::{TestAgent, repo};
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;

/// The tables of version 1 of the schema.
const FIRST: [&str; 9] = [
    "schema_version",
    "account",
    "pending_signup",
    "used_proof",
    "server_secret",
    "repo",
    "node",
    "record",
    "plc_operation",
];

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date_with_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let agents = block_on(async {
        let agents = [TestAgent::enroll(&server.target).await, TestAgent::enroll(&server.target).await];
        for (n, agent) in agents.iter().enumerate() {
            agent.create("com.example.both", json!({ "n": n })).await;
            agent.create("com.example.both", json!({ "n": n + 10 })).await;
        }
        agents[1].create("com.example.one", json!({})).await;
        // The first version has no events: those that there are must hold now.
        let mut auditor = Auditor::new(&server.target, Begin::Genesis);
        let mut stream = Subscription::open(&server.target, Some(0)).await;
        for _ in 0..2 * 4 + 5 {
            auditor.next(&mut stream).await;
        }
        auditor.agrees().await;
        agents
    });
    server.kill();
    back_to_the_first_version(dir.path());
    let server = Server::start(dir.path());
    block_on(async {
        for (collection, holders) in [("com.example.both", &agents[..]), ("com.example.one", &agents[1..])] {
            let params = [("collection", collection)];
            let listed = server.target.query("com.atproto.sync.listReposByCollection", &params).await.ok();
            let dids: Vec<_> =
                listed["repos"].as_array().unwrap().iter().map(|repo| text(repo, "did")).collect();
            let expected: Vec<_> = holders.iter().map(|agent| agent.did.clone()).collect();
            assert_eq!(dids, expected, "{collection}");
        }
        for (agent, count) in agents.iter().zip([2, 3]) {
            assert_eq!(repo::verified(&server.target, &agent.did).await.records.len(), count);
        }
        // The first events of these accounts are not about their signup, and hold all the same.
        for agent in &agents {
            write_when_taken(agent, &server.target).await;
        }
        let end = mark(&server.target).await;
        let mut auditor = Auditor::new(&server.target, Begin::Midway);
        let mut stream = Subscription::open(&server.target, Some(0)).await;
        auditor.read_until(&mut stream, ends_signup(&end)).await;
        auditor.agrees().await;
    });
    // That was the audit: there is no first event to start from.
    server.kill();
}

/// Takes away what later versions added: tables, and indexes, of which the first one made none by name.
fn back_to_the_first_version(data_dir: &Path) {
    let database = Connection::open(data_dir.join("rookery.db")).unwrap();
    let text = "SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite_%' ORDER BY type";
    let mut query = database.prepare(text).unwrap();
    let made: Vec<(String, String)> = query
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .filter(|(_, name): &(String, String)| !FIRST.contains(&name.as_str()))
        .collect();
    assert!(made.iter().any(|(_, name)| name == "repo_collection"), "{made:?}");
    for (kind, name) in made {
        database.execute_batch(&format!("DROP {kind} {name}")).unwrap();
    }
    each_node_to_its_place(&database);
    database.execute("DELETE FROM schema_version WHERE version > 1", ()).unwrap();
}

/// The first version had no nodes in the rows of heads.
fn each_node_to_its_place(database: &Connection) {
    let mut query = database.prepare("SELECT account, rev, recent FROM repo").unwrap();
    let mut heads = query.query(()).unwrap();
    while let Some(head) = heads.next().unwrap() {
        let (account, rev, recent): (i64, String, Vec<u8>) =
            (head.get(0).unwrap(), head.get(1).unwrap(), head.get(2).unwrap());
        let mut rest = recent.as_slice();
        assert!(!rest.is_empty());
        while !rest.is_empty() {
            let place = i64::try_from(leb128(&mut piece(&mut rest))).unwrap();
            let (cid, block, children) = (piece(&mut rest), piece(&mut rest), piece(&mut rest));
            let row = (account << 28 | place, &rev, cid, block, children);
            let text =
                "INSERT OR REPLACE INTO node (id, rev, cid, block, children) VALUES (?1, ?2, ?3, ?4, ?5)";
            database.execute(text, row).unwrap();
        }
    }
    database.execute_batch("ALTER TABLE repo DROP COLUMN recent").unwrap();
}

fn piece<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(leb128(bytes)).unwrap();
    bytes.split_off(..length).unwrap()
}

fn leb128(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = *bytes.split_off_first().unwrap();
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
