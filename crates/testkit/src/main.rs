//! Runs the conformance suite against a host that is there: `rookery-testkit URL [--directory URL] [PART OF A NAME]...`
//!
//! All the while a witness follows the firehose, and at the end everything that the host has told is replayed, checked as a
//! relay would, and compared with what it has. So the host must be new, must not limit rates, and nobody else may use it.
//! Half a minute on a laptop.
//!
//! With `--write` agents write, until the standard input ends, and a file gets a line for each record that was acknowledged;
//! the host may be ended and started again meanwhile. With `--verify` all of that must be there, and be told once.
//!
//! A host may be known to differ: `--except` leaves out the one suite of that name, and the last line says so.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever started it")]
#![expect(clippy::disallowed_methods, reason = "it tests from outside, with a clock of its own")]

use futures_util::FutureExt;
use rookery_testkit::Target;
use rookery_testkit::acknowledged;
use rookery_testkit::firehose::Witness;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const USAGE: &str =
    "usage: rookery-testkit URL [--directory URL] [--except SUITE]... [--list] [PART OF A SUITE'S NAME]...
       rookery-testkit URL [--directory URL] --write FILE | --verify FILE";

type Suite = for<'a> fn(&'a Target) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! table {
    ($($group:ident::$name:ident),+ $(,)?) => {
        &[$((
            concat!(stringify!($group), "::", stringify!($name)),
            |target| Box::pin(rookery_testkit::suites::$group::$name(target)),
        )),+]
    };
}

const SUITES: &[(&str, Suite)] = rookery_testkit::for_each_suite!(table);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let (mut url, mut directory, mut except, mut parts) = (None, None, Vec::new(), Vec::new());
    let (mut to_write, mut to_verify) = (None, None);
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        match word.as_str() {
            "--directory" => directory = given.next(),
            "--write" => to_write = given.next(),
            "--verify" => to_verify = given.next(),
            "--except" => match given.next() {
                Some(name) if SUITES.iter().any(|(suite, _)| *suite == name) => except.push(name),
                name => {
                    eprintln!("--except wants the whole name of a suite, not {name:?}; --list prints them");
                    return ExitCode::from(2);
                }
            },
            "--list" => {
                SUITES.iter().for_each(|(name, _)| println!("{name}"));
                return ExitCode::SUCCESS;
            }
            _ if url.is_none() && !word.starts_with('-') => url = Some(word),
            _ if !word.starts_with('-') => parts.push(word),
            _ => return usage(),
        }
    }
    let Some(url) = url else { return usage() };
    let target = Target::with_directory(&url, directory.as_deref().unwrap_or(&url));
    if let Some(file) = to_write {
        write(&target, file.as_ref()).await;
        return ExitCode::SUCCESS;
    }
    if let Some(file) = to_verify {
        let records = acknowledged::verify(&target, file.as_ref()).await;
        println!("all {records} records are there, and were told once");
        return ExitCode::SUCCESS;
    }
    let (left_out, chosen): (Vec<_>, Vec<_>) = SUITES
        .iter()
        .filter(|(name, _)| parts.is_empty() || parts.iter().any(|part| name.contains(part)))
        .partition(|(name, _)| except.iter().any(|except| except == name));
    if chosen.is_empty() {
        eprintln!("no suite has a name like that; --list prints them");
        return ExitCode::from(2);
    }
    if run(&target, &chosen, &left_out).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn write(target: &Target, file: &Path) {
    let done = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&done);
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        ended.store(true, Ordering::Relaxed);
    });
    acknowledged::write(target, file, || println!("writing"), done).await;
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Runs the suites one after the other and says what became of each. What does not hold has been printed where it was found.
async fn run(target: &Target, chosen: &[&(&str, Suite)], left_out: &[&(&str, Suite)]) -> bool {
    let start = Instant::now();
    let mut failed = Vec::new();
    let witness = AssertUnwindSafe(Witness::watch(target)).catch_unwind().await;
    for (name, suite) in chosen {
        let begun = Instant::now();
        let held = AssertUnwindSafe(suite(target)).catch_unwind().await.is_ok();
        println!(
            "{} {name} ({:.1} s)",
            if held { "ok    " } else { "FAILED" },
            begun.elapsed().as_secs_f64()
        );
        if !held {
            failed.push(*name);
        }
    }
    const AUDIT: &str = "what the firehose told of all this";
    let audited = match witness {
        Ok(witness) => AssertUnwindSafe(witness.verdict()).catch_unwind().await.is_ok(),
        Err(_) => false,
    };
    println!("{} {AUDIT}", if audited { "ok    " } else { "FAILED" });
    if !audited {
        failed.push(AUDIT);
    }
    for name in &failed {
        println!("failed: {name}");
    }
    let left_out: String = left_out.iter().map(|(name, _)| format!("; left out: {name}")).collect();
    println!(
        "{} of {} hold, {:.0} s{left_out}",
        chosen.len() + 1 - failed.len(),
        chosen.len() + 1,
        start.elapsed().as_secs_f64()
    );
    failed.is_empty()
}
