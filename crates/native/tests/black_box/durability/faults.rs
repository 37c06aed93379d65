//! One call to the file system fails: the disk is full, or there is an I/O error, or a write is cut short. Each request
//! answers or says that it failed, the service goes on, and everything that was acknowledged is there.
//!
//! A run without a fault counts the calls; then each of them, or a sample, fails once. When an `fsync` of the database fails the
//! server ends ([decision](../../../../../docs/decisions/0006-a-failed-sync-ends-the-process.md)). After each run the power goes:
//! what the next server found in memory must not be all there is.

use super::check::{World, files};
use super::disk::Disk;
use super::power_loss::Layer;
use super::writer::Outcome;
use crate::blobs::database;
use crate::firehose::random::Random;
use crate::server::{Server, block_on};
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// Of all faults, how many are tried by default.
const SAMPLE: usize = 24;
/// The size of a blob that housekeeping collects.
const OVERDUE: u32 = 777;
const KINDS: [&str; 3] = ["full", "io", "short"];

#[test]
fn a_call_that_fails_is_told_and_harms_nothing() {
    let Some((layer, world)) = prepared() else { return };
    let calls = count(layer.copy(), world.clone());
    sample(calls, |fault, random| one_day(layer.copy(), world.clone(), fault, random));
}

#[test]
fn a_first_start_that_fails_says_why_and_the_next_one_succeeds() {
    let first = |fault: &str, random: &mut Random| {
        let mut layer = Layer::new(Disk::new())?;
        let started = Server::try_run(layer.serve_with_fault(fault));
        let failed = started.is_err();
        if let Ok(server) = started {
            server.kill();
        }
        says_why(&layer, failed);
        let (calls, _) = layer.calls();
        layer.cut(random);
        // Works, and is audited.
        drop(Server::run(layer.serve()));
        Some(calls)
    };
    let Some(calls) = first("0 none", &mut Random(0)) else { return };
    sample(calls, |fault, random| _ = first(fault, random));
}

/// A disk with an agent, some records, and a blob whose grace is over.
fn prepared() -> Option<(Layer, World)> {
    let mut layer = Layer::new(Disk::new())?;
    let server = Server::run(layer.serve());
    let mut random = Random(1);
    let mut world = block_on(World::begin(&server.target, 1));
    assert_eq!(block_on(world.once(&server.target, &mut random, false)), Outcome::Done);
    block_on(world.check(&server.target, true));
    block_on(world.upload_and_forget(&server.target, OVERDUE));
    server.kill();
    let overdue = "UPDATE blob SET released_at = 1 WHERE size = ?1";
    assert_eq!(database(&layer.data()).execute(overdue, [OVERDUE]).unwrap(), 1);
    layer.adopt();
    Some((layer, world))
}

/// How many calls there are that can fail.
fn count(layer: Layer, mut world: World) -> u64 {
    let server = Server::run(layer.serve());
    assert_eq!(block_on(world.once(&server.target, &mut Random(0), false)), Outcome::Done);
    server.kill();
    layer.calls().0
}

/// A start, housekeeping, requests: one call fails. Then everything works and is there, and stays there.
fn one_day(mut layer: Layer, mut world: World, fault: &str, random: &mut Random) {
    let (mut ended, mut failed) = (false, None);
    let started = Server::try_run(layer.serve_with_fault(fault));
    let mut server = started.unwrap_or_else(|status| {
        assert!(!status.success(), "{status}");
        (ended, failed) = (true, layer.calls().1);
        layer.learn(random);
        Server::run(layer.serve())
    });
    // Not every start makes as many calls as the one that was counted.
    for _ in 0..2 {
        let outcome = block_on(world.once(&server.target, random, true));
        if outcome == Outcome::Unknown {
            // Only a server that ends leaves a request without an answer.
            server.wait_a_minute();
            (ended, failed) = (true, layer.calls().1);
            layer.learn(random);
            server = Server::run(layer.serve());
            block_on(world.check(&server.target, false));
        }
        failed = failed.or(layer.calls().1);
        assert!(outcome == Outcome::Done || failed.is_some(), "a request failed for no reason");
    }
    says_why(&layer, ended);
    if let Some(failed) = failed {
        let of_database = failed.sync_of.as_ref().is_some_and(|path| path.contains("/rookery.db"));
        assert!(ended || !of_database, "the server goes on after {failed:?}");
        assert_eq!(block_on(world.once(&server.target, random, false)), Outcome::Done);
        block_on(world.check(&server.target, false));
    }
    server.kill();
    layer.cut(random);
    files(&layer.data());
    let server = Server::run(layer.serve());
    block_on(world.check(&server.target, true));
    // What was checked is more than an audit would.
    server.kill();
}

/// The log has a reason when the server ended, and no panic in any case.
fn says_why(layer: &Layer, ended: bool) {
    let said = layer.said();
    assert!(!said.contains("panicked"), "{said}");
    assert!(
        !ended || said.contains("error: ") || said.contains("The server ends here"),
        "it ended: {said:?}"
    );
}

/// Tries faults at some of the calls, or at all of them when `ROOKERY_FAULTS=all`.
fn sample(calls: u64, mut one: impl FnMut(&str, &mut Random)) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut random = Random(u64::from(time.subsec_nanos()));
    let mut faults: Vec<_> = (1..=calls).flat_map(|n| KINDS.map(|kind| format!("{n} {kind}"))).collect();
    match env::var("ROOKERY_FAULTS").as_deref() {
        Ok("all") => {}
        Ok(some) => faults = some.split(',').map(str::to_owned).collect(),
        Err(_) => {
            while faults.len() > SAMPLE {
                faults.swap_remove(usize::try_from(random.below(faults.len() as u64)).unwrap());
            }
        }
    }
    println!("faults at {} of {} calls", faults.len(), calls);
    for fault in faults {
        println!("ROOKERY_FAULTS='{fault}'");
        one(&fault, &mut random);
    }
}
