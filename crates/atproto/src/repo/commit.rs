//! The commit object.

use crate::crypto::{PublicKey, SIGNATURE_LEN, SecretKey, SignatureError};
use crate::data::cbor::{CborError, Reader, Writer};
use crate::data::{Cid, Codec};
use crate::syntax::{Did, SyntaxError, Tid};
use bytes::Bytes;

/// The repository format written and read here.
const VERSION: u64 = 3;

/// A signed commit (repository spec, "Commit Objects").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The account.
    pub did: Did,
    /// Grows with every commit.
    pub rev: Tid,
    /// The root of the tree.
    pub data: Cid,
    /// The commit before: always null where we write, tolerated where we read. The member itself is never missing.
    pub prev: Option<Cid>,
    /// ECDSA over the commit without this member, compact and low-S.
    pub sig: [u8; SIGNATURE_LEN],
}

/// Why bytes are not a commit, or not a valid one.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Not the DAG-CBOR of a commit.
    #[error("commit: {0}")]
    Cbor(#[from] CborError),
    /// A member is not what it must be.
    #[error("commit: {0}")]
    Syntax(#[from] SyntaxError),
    /// Not `{did, rev, sig, data, prev, version}` of version 3.
    #[error("commit: {0}")]
    Shape(&'static str),
    /// The signature is not by the account's key.
    #[error("commit: {0}")]
    Signature(#[from] SignatureError),
}

impl Commit {
    /// Signs a commit.
    pub fn sign(did: Did, rev: Tid, data: Cid, key: &SecretKey) -> Self {
        let mut commit = Self { did, rev, data, prev: None, sig: [0; SIGNATURE_LEN] };
        commit.sig = key.sign(&commit.encoded(false));
        commit
    }

    /// The block of the commit.
    pub fn encode(&self) -> Bytes {
        self.encoded(true).into()
    }

    /// Reads a block strictly. The signature is not checked yet: see [`verify`](Self::verify).
    pub fn decode(block: &[u8]) -> Result<Self, CommitError> {
        let mut reader = Reader::new(block);
        let members = reader.map()?;
        reader.expect_key("did")?;
        let did = Did::parse(reader.text()?)?;
        reader.expect_key("rev")?;
        let rev = Tid::parse(reader.text()?)?;
        reader.expect_key("sig")?;
        let sig = reader.bytes()?.try_into().map_err(|_| CommitError::Shape("`sig` must be 64 bytes"))?;
        reader.expect_key("data")?;
        let data = reader.link()?;
        reader.expect_key("prev")?;
        let prev = reader.link_or_null()?;
        reader.expect_key("version")?;
        let version = reader.uint()?;
        reader.finish()?;
        if members != 6 || version != VERSION {
            return Err(CommitError::Shape("it must have the members of version 3"));
        }
        if [Some(data), prev].into_iter().flatten().any(|link| link.codec() != Codec::DagCbor) {
            return Err(CommitError::Shape("`data` and `prev` must link to DAG-CBOR"));
        }
        Ok(Self { did, rev, data, prev, sig })
    }

    /// Checks the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), CommitError> {
        Ok(key.verify(&self.encoded(false), &self.sig)?)
    }

    /// In canonical key order: by length, then by bytes.
    fn encoded(&self, signed: bool) -> Vec<u8> {
        let mut out = Writer::with_capacity(224);
        out.map(if signed { 6 } else { 5 });
        out.text("did");
        out.text(self.did.as_str());
        out.text("rev");
        out.text(&self.rev.to_string());
        if signed {
            out.text("sig");
            out.bytes(&self.sig);
        }
        out.text("data");
        out.link(&self.data);
        out.text("prev");
        out.link_or_null(self.prev.as_ref());
        out.text("version");
        out.uint(VERSION);
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Curve;
    use crate::data::{Map, Value, cbor};

    fn sample(curve: Curve) -> (Commit, SecretKey) {
        let key = SecretKey::from_bytes(curve, &[5; 32]).unwrap();
        let did = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap();
        (Commit::sign(did, Tid::new(1_700_000_000_000_000, 3), Cid::dag_cbor(b"tree"), &key), key)
    }

    #[test]
    fn a_commit_reads_back_and_verifies_on_both_curves() {
        for curve in [Curve::K256, Curve::P256] {
            let (commit, key) = sample(curve);
            let block = commit.encode();
            assert!(cbor::decode(&block).is_ok(), "canonical");
            let read = Commit::decode(&block).unwrap();
            assert_eq!(read, commit);
            read.verify(&key.public()).unwrap();
        }
    }

    #[test]
    fn an_altered_commit_does_not_verify() {
        let (commit, key) = sample(Curve::K256);
        let other = Commit { data: Cid::dag_cbor(b"other"), ..commit.clone() };
        assert!(other.verify(&key.public()).is_err());
        let other = Commit { rev: Tid::new(1, 1), ..commit.clone() };
        assert!(other.verify(&key.public()).is_err());
        assert!(commit.verify(&SecretKey::from_bytes(Curve::K256, &[6; 32]).unwrap().public()).is_err());
    }

    #[test]
    fn a_commit_of_others_may_name_the_one_before() {
        let (commit, key) = sample(Curve::P256);
        let mut commit = Commit { prev: Some(Cid::dag_cbor(b"before")), ..commit };
        commit.sig = key.sign(&commit.encoded(false));
        let read = Commit::decode(&commit.encode()).unwrap();
        assert_eq!(read, commit);
        read.verify(&key.public()).unwrap();
        assert!(Commit { prev: None, ..read }.verify(&key.public()).is_err(), "it is signed too");
    }

    #[test]
    fn members_that_are_missing_added_or_of_another_version_are_refused() {
        let (commit, _) = sample(Curve::K256);
        let Value::Map(whole) = cbor::decode(&commit.encode()).unwrap() else { panic!("a map") };
        let read = |map: Map| Commit::decode(&cbor::encode(&Value::Map(map)));
        assert!(read(whole.clone()).is_ok());
        for member in ["did", "rev", "sig", "data", "prev", "version"] {
            let mut map = whole.clone();
            map.remove(member);
            assert!(read(map).is_err(), "{member}");
        }
        for (member, value) in [
            ("more", Value::Null),
            ("version", Value::Int(2)),
            ("did", Value::Text("alice".into())),
            ("rev", Value::Text("today".into())),
            ("sig", Value::Bytes(vec![0; 63])),
            ("data", Value::Null),
            ("data", Value::Link(Cid::raw(b"tree"))),
            ("prev", Value::Link(Cid::raw(b"commit"))),
        ] {
            let mut map = whole.clone();
            map.insert(member.to_owned(), value);
            assert!(read(map).is_err(), "{member}");
        }
    }

    #[test]
    fn a_block_that_is_cut_is_refused_everywhere() {
        let (commit, _) = sample(Curve::K256);
        let block = commit.encode();
        for end in 0..block.len() {
            assert!(Commit::decode(&block[..end]).is_err());
        }
    }
}
