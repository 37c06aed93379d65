//! CAR v1, the format in which repositories travel (repository spec, "CAR File Serialization").
//!
//! A CAR is a header (a varint length and the DAG-CBOR map `{roots, version}`) and sections, each a varint length, a CID
//! and the block's bytes. Writing is [`header`] and [`section`]; reading is [`Reader`], which is fed with whatever bytes
//! arrive and gives back blocks whose hash has been checked. Nothing here does I/O.

mod reader;
mod varint;

pub use reader::{CarError, Limits, Reader};

use crate::data::Cid;
use crate::data::cbor::Writer;
use bytes::Bytes;
use std::collections::HashMap;

/// The media type of a CAR.
pub const MEDIA_TYPE: &str = "application/vnd.ipld.car";

/// The header of a CAR with these roots.
pub fn header(roots: &[Cid]) -> Vec<u8> {
    let mut map = Writer::new();
    map.map(2);
    map.text("roots");
    map.array(roots.len());
    for root in roots {
        map.link(root);
    }
    map.text("version");
    map.uint(1);
    let mut out = Vec::with_capacity(map.as_bytes().len() + 2);
    varint::write(map.as_bytes().len() as u64, &mut out);
    out.extend_from_slice(map.as_bytes());
    out
}

/// Appends one block. `cid` must be the CID of `block`; that is the caller's knowledge and not computed again.
pub fn section(cid: &Cid, block: &[u8], out: &mut Vec<u8>) {
    varint::write(cid.as_bytes().len() as u64 + block.len() as u64, out);
    out.extend_from_slice(cid.as_bytes());
    out.extend_from_slice(block);
}

/// A whole CAR in memory: its roots and its blocks.
#[derive(Clone, Debug, Default)]
pub struct Car {
    /// As the header lists them.
    pub roots: Vec<Cid>,
    /// Every block by CID.
    pub blocks: HashMap<Cid, Bytes>,
}

/// Reads a whole CAR that is in memory already, checking every hash.
pub fn read_all(bytes: &[u8]) -> Result<Car, CarError> {
    let mut reader = Reader::new(Limits::default());
    reader.feed(bytes);
    let mut car = Car::default();
    while let Some((cid, block)) = reader.next_block()? {
        car.blocks.insert(cid, block);
    }
    car.roots = reader.finish()?;
    Ok(car)
}

#[cfg(test)]
mod tests;
