//! Shared by the tests: keys by number, and a small directory that keeps one log.

mod chains;
mod documents;
mod limits;
mod vectors;
mod wire;

use super::*;
use crate::crypto::{Curve, SecretKey};
use crate::syntax::{Did, Handle};

const HOUR: i64 = 3_600_000_000;
/// A time in whole milliseconds to start from.
const START: i64 = 1_750_000_000_000_000;

fn key(number: u8) -> SecretKey {
    let curve = if number.is_multiple_of(2) { Curve::K256 } else { Curve::P256 };
    SecretKey::from_bytes(curve, &[number + 1; 32]).unwrap()
}

fn did_keys(numbers: &[u8]) -> Vec<String> {
    numbers.iter().map(|number| key(*number).public().to_did_key()).collect()
}

/// An account's genesis with these rotation keys, not yet signed.
fn genesis(rotation_keys: &[u8]) -> UnsignedOperation {
    UnsignedOperation::atproto_genesis(
        &key(99).public(),
        &Handle::parse("alice.test").unwrap(),
        "https://pds.example.com",
        did_keys(rotation_keys),
    )
}

/// The next operation after `last`, with another handle, signed by the key of this number.
fn rename(last: &Operation, handle: &str, signer: u8) -> Operation {
    let mut next = UnsignedOperation::following(last).unwrap();
    next.also_known_as = vec![format!("at://{handle}")];
    next.sign(&key(signer))
}

struct Directory {
    did: Did,
    log: Vec<LogEntry>,
}

impl Directory {
    fn created_by(genesis: &Operation) -> Directory {
        let mut directory = Directory { did: genesis.did_of_genesis(), log: Vec::new() };
        directory.submit(genesis, START).unwrap();
        directory
    }

    /// Takes an operation as a directory does.
    fn submit(&mut self, op: &Operation, now: i64) -> Result<(), PlcError> {
        let admitted = admit(&self.log, &self.did, op, now)?;
        for entry in &mut self.log {
            entry.nullified |= admitted.nullified.contains(&entry.cid);
        }
        self.log.push(admitted.entry);
        Ok(())
    }

    fn nullified(&self) -> Vec<bool> {
        self.log.iter().map(|entry| entry.nullified).collect()
    }

    fn handle(&self) -> Option<String> {
        let data = verify_log(&self.log).unwrap()?;
        data.also_known_as.into_iter().next()
    }
}
