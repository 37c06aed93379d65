//! Reading a CAR from chunks.

use super::varint::{self, Varint};
use crate::data::cbor;
use crate::data::{Cid, CidError};
use bytes::{Buf, Bytes, BytesMut};

/// The length of a CID in bytes, as all of atproto's are.
const CID: usize = 36;

/// Bounds on what is read; more is refused before it is buffered.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the header. The default, 4096, holds about a hundred roots.
    pub header: usize,
    /// Bytes of one block. The default is 2 MiB.
    pub block: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header: 4096, block: 2 * 1024 * 1024 }
    }
}

/// What is wrong with a CAR.
#[derive(Debug, thiserror::Error)]
pub enum CarError {
    /// The header is not `{roots: [...], version: 1}` in DAG-CBOR.
    #[error("CAR header: {0}")]
    Header(String),
    /// A length is malformed, or too short to hold a CID.
    #[error("CAR section {0}: malformed length")]
    Length(u64),
    /// A section is longer than the limit.
    #[error("CAR section {section}: {length} bytes are over the limit of {limit}")]
    TooLong {
        /// Counted from 0; the header is not counted.
        section: u64,
        /// What it announces.
        length: u64,
        /// What is taken.
        limit: usize,
    },
    /// A section does not start with a CID that repositories use.
    #[error("CAR section {0}: {1}")]
    Cid(u64, #[source] CidError),
    /// The bytes of a block are not what its CID says.
    #[error("CAR section {section}: the block does not have the hash of {cid}")]
    Hash {
        /// Counted from 0.
        section: u64,
        /// What was claimed.
        cid: Cid,
    },
    /// The input ends inside the header or a section.
    #[error("the CAR ends inside section {0}")]
    Truncated(u64),
}

/// A CAR that arrives in chunks: [`feed`](Self::feed) them, take blocks until there is none, feed more, and
/// [`finish`](Self::finish). What is buffered is one chunk and one block.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    buffer: BytesMut,
    roots: Option<Vec<Cid>>,
    section: u64,
}

impl Reader {
    /// A reader at the start of a CAR.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: BytesMut::new(), roots: None, section: 0 }
    }

    /// Adds the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The roots, once the header has been read.
    pub fn roots(&self) -> Option<&[Cid]> {
        self.roots.as_deref()
    }

    /// The next block whose bytes are all there, with its hash checked.
    pub fn next_block(&mut self) -> Result<Option<(Cid, Bytes)>, CarError> {
        if self.roots.is_none() {
            let limit = self.limits.header;
            match self.take_section(limit)? {
                Some(header) => self.roots = Some(read_header(&header)?),
                None => return Ok(None),
            }
        }
        let Some(mut section) = self.take_section(self.limits.block.saturating_add(CID))? else {
            return Ok(None);
        };
        let at = self.section;
        let (head, block) = section.split_at_checked(CID).ok_or(CarError::Length(at))?;
        let cid = Cid::from_bytes(head).map_err(|error| CarError::Cid(at, error))?;
        if !cid.verifies(block) {
            return Err(CarError::Hash { section: at, cid });
        }
        self.section += 1;
        section.advance(CID);
        Ok(Some((cid, section)))
    }

    /// The roots, when the input ended where a section ended.
    pub fn finish(self) -> Result<Vec<Cid>, CarError> {
        match self.roots {
            Some(roots) if self.buffer.is_empty() => Ok(roots),
            _ => Err(CarError::Truncated(self.section)),
        }
    }

    /// The bytes of the next length-prefixed part, if all are there.
    fn take_section(&mut self, limit: usize) -> Result<Option<Bytes>, CarError> {
        let (length, prefix) = match varint::read(&self.buffer) {
            Varint::Value(length, prefix) => (length, prefix),
            Varint::Partial => return Ok(None),
            Varint::Malformed => return Err(CarError::Length(self.section)),
        };
        let fits = usize::try_from(length).ok().filter(|length| *length <= limit);
        let Some(length) = fits else {
            return Err(CarError::TooLong { section: self.section, length, limit });
        };
        if self.buffer.len() - prefix < length {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

fn read_header(bytes: &[u8]) -> Result<Vec<Cid>, CarError> {
    let parse = || {
        let mut reader = cbor::Reader::new(bytes);
        let members = reader.map()?;
        reader.expect_key("roots")?;
        let roots = (0..reader.array()?).map(|_| reader.link()).collect::<Result<Vec<_>, _>>()?;
        reader.expect_key("version")?;
        let version = reader.uint()?;
        reader.finish()?;
        Ok((members, roots, version))
    };
    match parse().map_err(|error: cbor::CborError| CarError::Header(error.to_string()))? {
        (2, roots, 1) => Ok(roots),
        (_, _, version) => Err(CarError::Header(format!("version {version} where 1 is read"))),
    }
}
