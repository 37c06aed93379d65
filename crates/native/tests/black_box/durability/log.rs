//! The log of the layer in front of the files (`file_layer.c`), read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Bytes before the payload of a record.
const HEAD: usize = 32;

/// What the layer noted of a call.
pub(crate) struct Record<'a> {
    pub(crate) op: u8,
    pub(crate) fd: i32,
    /// How many calls that change something there had been.
    count: u64,
    pub(crate) offset: usize,
    pub(crate) payload: &'a [u8],
}

/// The records of a log. One at its end that is not whole is of a call that nobody got to know of.
pub(crate) fn records(log: &[u8]) -> Vec<Record<'_>> {
    let (mut rest, mut records) = (log, Vec::new());
    while rest.len() >= HEAD {
        let number = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().unwrap());
        let half = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
        let Some(payload) = rest.get(HEAD..HEAD + usize::try_from(number(24)).unwrap()) else { break };
        let op = u8::try_from(half(0)).unwrap();
        let (fd, offset) = (half(4).cast_signed(), usize::try_from(number(16)).unwrap());
        records.push(Record { op, fd, count: number(8), offset, payload });
        rest = &rest[HEAD + payload.len()..];
    }
    records
}

/// How many calls that change something are in a log, and the one that was made to fail.
pub(crate) fn calls(log: &Path) -> (u64, Option<Failed>) {
    let log = fs::read(log).unwrap_or_default();
    let (mut open, mut failed) = (BTreeMap::new(), None);
    let records = records(&log);
    for record in &records {
        match record.op {
            b'O' => drop(open.insert(record.fd, String::from_utf8(record.payload.to_vec()).unwrap())),
            b'F' => failed = failed.or(Some(Failed { sync_of: None })),
            b'E' => failed = Some(Failed { sync_of: open.get(&record.fd).cloned() }),
            _ => {}
        }
    }
    (records.last().map_or(0, |record| record.count), failed)
}

/// A call that was made to fail.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// What it should have synced, if it should.
    pub(crate) sync_of: Option<String>,
}
