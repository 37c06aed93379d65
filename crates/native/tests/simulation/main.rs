//! The server against chance: many agents write at once, machines, disks and directories fail, clocks are set, and after all
//! of it nothing that was acknowledged is lost and nothing is half there.
//!
//! A *run* is the whole server (its router over its real SQL) on a simulated machine, in one thread and without waiting: which
//! task goes on, how many jobs share a commit, what fails, when the machine goes down, and how the clock moves are all drawn
//! from one seed. So a run can be repeated. Beside it stands a model that is a sorted map for each repo (`model.rs`), and
//! the checker of the firehose that the other tests use.
//!
//! | file | what it holds |
//! |---|---|
//! | `world.rs` | the schedule |
//! | `store.rs`, `outside.rs` | the machine: database, clock, directory, blob store, and how they fail |
//! | `agent.rs`, `requests.rs` | who asks, for what, and what the answers must be |
//! | `model.rs`, `audit.rs` | what must hold |
//!
//! `ROOKERY_SIM_SEED=7 cargo test -p rookery --test simulation` repeats a run, `ROOKERY_SIM_RUNS=2000` makes more of them,
//! from `ROOKERY_SIM_FROM` on.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "this is test code: whatever does not hold ends the test"
)]

mod agent;
mod audit;
#[expect(dead_code, reason = "the machine's own connection has no file")]
#[path = "../../src/sqlite/connection.rs"]
mod connection;
mod model;
mod outside;
mod random;
mod requests;
mod store;
#[path = "../../src/sqlite/strict.rs"]
mod strict;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use world::{Trace, World};

/// Runs without `ROOKERY_SIM_RUNS`.
const RUNS: u64 = 24;
/// Seeds that once found something.
const FOUND: [u64; 2] = [1124, 2124];
/// How much of what happened is shown after a failure.
const SHOWN: usize = 60;

/// A run; what it came to, and all that happened in it.
fn run(seed: u64) -> (World, Vec<String>) {
    let trace = Trace::default();
    let mut world = World::new(seed, Arc::clone(&trace));
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let trace: Vec<String> =
        trace.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..).collect();
    if let Err(panic) = outcome {
        eprintln!("\nThe last steps before seed {seed} failed:");
        for step in trace.iter().rev().take(SHOWN).rev() {
            eprintln!("  {step}");
        }
        eprintln!("Repeat it with ROOKERY_SIM_SEED={seed} cargo test -p rookery --test simulation");
        resume_unwind(panic);
    }
    (world, trace)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn whatever_fails_what_was_acknowledged_is_there_and_nothing_is_half_there() {
    let seeds: Vec<u64> = match (number("ROOKERY_SIM_SEED"), number("ROOKERY_SIM_RUNS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(runs)) => {
            let from = number("ROOKERY_SIM_FROM").unwrap_or(0);
            (from..from + runs).collect()
        }
        (None, None) => (0..RUNS).chain(FOUND).collect(),
    };
    let count = seeds.len();
    let (mut restarts, mut events) = (0, 0);
    let mut answers = BTreeMap::<_, BTreeMap<u16, usize>>::new();
    for seed in seeds {
        let (world, _) = run(seed);
        for (name, counts) in world.answers {
            for (status, count) in counts {
                *answers.entry(name).or_default().entry(status).or_default() += count;
            }
        }
        restarts += world.restarts;
        events += world.log.len();
    }
    println!("{count} runs: {events} events, {restarts} restarts, answers {answers:?}");
    let mut kinds = answers.iter().filter(|(name, _)| **name != "replay");
    let all_went_well_once = kinds.all(|(_, counts)| counts.contains_key(&200));
    assert!(count < 10 || restarts > 0 && all_went_well_once, "not everything was tried: {answers:?}");
}

#[test]
fn a_seed_is_a_run() {
    let seed = number("ROOKERY_SIM_SEED").unwrap_or(1);
    assert_eq!(run(seed).1, run(seed).1);
}
