//! Nodes written by hand, right or wrong.

use super::value;
use rookery_atproto::data::Cid;
use rookery_atproto::data::cbor::Writer;

/// An entry by hand: how much of the key is shared, the rest of it, and the subtree after it.
pub(crate) struct Entry {
    pub(crate) shared: u64,
    pub(crate) rest: Vec<u8>,
    pub(crate) subtree: Option<Cid>,
}

pub(crate) fn entry(shared: usize, rest: &str, subtree: Option<Cid>) -> Entry {
    Entry { shared: shared as u64, rest: rest.into(), subtree }
}

/// Entries as they must be.
pub(crate) fn compressed(keys: &[&str], mut subtree: impl FnMut() -> Option<Cid>) -> Vec<Entry> {
    let mut before = "";
    keys.iter()
        .map(|key| {
            let shared = before.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
            before = key;
            entry(shared, key.split_at(shared).1, subtree())
        })
        .collect()
}

pub(crate) fn node(left: Option<Cid>, entries: &[Entry]) -> Vec<u8> {
    let mut out = Writer::new();
    out.map(2);
    out.text("e");
    out.array(entries.len());
    for entry in entries {
        out.map(4);
        out.text("k");
        out.bytes(&entry.rest);
        out.text("p");
        out.uint(entry.shared);
        out.text("t");
        out.link_or_null(entry.subtree.as_ref());
        out.text("v");
        out.link(&value(1));
    }
    out.text("l");
    out.link_or_null(left.as_ref());
    out.into_bytes()
}
