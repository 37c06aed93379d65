//! Content identifiers (spec: data-model, "Link and CID Formats").
//!
//! Only the two blessed kinds exist here: version 1, SHA-256, and either DAG-CBOR (records, tree nodes, commits) or raw
//! bytes (blobs). Their bytes are therefore always 36 and their text always 59 characters of base32 after a `b`, which
//! lets a [`Cid`] be `Copy` and its text be made without allocating.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Bytes of a binary CID: version, codec, hash kind, hash length, hash.
pub const CID_BYTES: usize = 36;
/// Characters of a CID as text: `b` and 58 of base32.
pub const CID_TEXT: usize = 59;

const VERSION: u8 = 0x01;
const SHA2_256: u8 = 0x12;
const DIGEST_BYTES: u8 = 0x20;

/// What the bytes behind a CID are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// A DAG-CBOR block: a record, a tree node or a commit.
    DagCbor,
    /// Bytes of any kind: a blob.
    Raw,
}

/// The hash of a block or blob. Ordered and hashed by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cid([u8; CID_BYTES]);

/// Why bytes or text are not a CID this protocol allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// The binary form has another length than 36 bytes.
    #[error("a CID has 36 bytes (version 1, SHA-256), these are {0}")]
    Length(usize),
    /// Not version 1.
    #[error("only CID version 1 is allowed")]
    Version,
    /// Neither DAG-CBOR nor raw.
    #[error("only the CID codecs dag-cbor (0x71) and raw (0x55) are allowed")]
    Codec,
    /// Not a SHA-256 of 32 bytes.
    #[error("only SHA-256 is allowed as the hash of a CID")]
    Hash,
    /// Not `b` and 58 characters of lowercase base32.
    #[error("a CID is written as `b` and 58 characters of lowercase base32 (a-z, 2-7)")]
    Text,
}

impl Codec {
    fn code(self) -> u8 {
        match self {
            Self::DagCbor => 0x71,
            Self::Raw => 0x55,
        }
    }
}

impl Cid {
    /// The CID of a DAG-CBOR block.
    #[must_use]
    pub fn dag_cbor(block: &[u8]) -> Self {
        Self::from_digest(Codec::DagCbor, Sha256::digest(block).into())
    }

    /// The CID of a blob.
    #[must_use]
    pub fn raw(blob: &[u8]) -> Self {
        Self::from_digest(Codec::Raw, Sha256::digest(blob).into())
    }

    /// The CID of content whose SHA-256 is known already.
    #[must_use]
    pub fn from_digest(codec: Codec, digest: [u8; 32]) -> Self {
        let mut bytes = [0; CID_BYTES];
        let (head, tail) = bytes.split_at_mut(4);
        head.copy_from_slice(&[VERSION, codec.code(), SHA2_256, DIGEST_BYTES]);
        tail.copy_from_slice(&digest);
        Self(bytes)
    }

    /// Reads the binary form (without the zero byte that DAG-CBOR puts before it).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        let bytes: &[u8; CID_BYTES] = bytes.try_into().map_err(|_| CidError::Length(bytes.len()))?;
        let [version, codec, hash, length, ..] = *bytes;
        if version != VERSION {
            return Err(CidError::Version);
        }
        if codec != Codec::DagCbor.code() && codec != Codec::Raw.code() {
            return Err(CidError::Codec);
        }
        if hash != SHA2_256 || length != DIGEST_BYTES {
            return Err(CidError::Hash);
        }
        Ok(Self(*bytes))
    }

    /// The binary form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; CID_BYTES] {
        &self.0
    }

    /// What the content is.
    #[must_use]
    pub fn codec(&self) -> Codec {
        if self.0[1] == Codec::Raw.code() { Codec::Raw } else { Codec::DagCbor }
    }

    /// The SHA-256 of the content.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        let (_, digest) = self.0.split_at(4);
        digest
    }

    /// Whether this is the CID of `content`.
    #[must_use]
    pub fn verifies(&self, content: &[u8]) -> bool {
        Sha256::digest(content).as_slice() == self.digest()
    }

    /// The text form in ASCII, for writers that want no `String`.
    #[must_use]
    pub fn to_ascii(&self) -> [u8; CID_TEXT] {
        let mut text = [b'b'; CID_TEXT];
        let (_, base32) = text.split_at_mut(1);
        BASE32_NOPAD.encode_mut(&self.0, base32);
        base32.make_ascii_lowercase();
        text
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        let text: &[u8; CID_TEXT] = text.as_bytes().try_into().map_err(|_| CidError::Text)?;
        let Some((b'b', base32)) = text.split_first() else {
            return Err(CidError::Text);
        };
        if base32.iter().any(u8::is_ascii_uppercase) {
            return Err(CidError::Text);
        }
        let mut upper = [0; CID_TEXT - 1];
        upper.copy_from_slice(base32);
        upper.make_ascii_uppercase();
        let mut bytes = [0; CID_BYTES];
        BASE32_NOPAD.decode_mut(&upper, &mut bytes).map_err(|_| CidError::Text)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

impl Serialize for Cid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
    const BLOB: &str = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";

    #[test]
    fn text_and_bytes_round_trip_for_both_codecs() {
        for (text, codec) in [(RECORD, Codec::DagCbor), (BLOB, Codec::Raw)] {
            let cid: Cid = text.parse().unwrap();
            assert_eq!(cid.to_string(), text);
            assert_eq!(cid.codec(), codec);
            assert_eq!(Cid::from_bytes(cid.as_bytes()), Ok(cid));
        }
    }

    #[test]
    fn a_cid_verifies_its_content_and_no_other() {
        let cid = Cid::raw(b"hello");
        assert_eq!(cid.to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
        assert!(cid.verifies(b"hello"));
        assert!(!cid.verifies(b"hello "));
        assert_ne!(cid, Cid::dag_cbor(b"hello"));
    }

    #[test]
    fn other_versions_codecs_hashes_and_spellings_are_refused() {
        let good = *RECORD.parse::<Cid>().unwrap().as_bytes();
        for (at, fault) in
            [(0, CidError::Version), (1, CidError::Codec), (2, CidError::Hash), (3, CidError::Hash)]
        {
            let mut bad = good;
            bad[at] = 0;
            assert_eq!(Cid::from_bytes(&bad), Err(fault));
        }
        assert_eq!(Cid::from_bytes(&good[1..]), Err(CidError::Length(35)));
        let upper = RECORD.to_uppercase();
        // The last character has two bits to spare, which must be zero.
        let spare_bits = RECORD.strip_suffix('a').unwrap().to_owned() + "b";
        for text in ["", ".", "b", "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR", &upper, &spare_bits] {
            assert_eq!(text.parse::<Cid>(), Err(CidError::Text), "{text}");
        }
    }
}
