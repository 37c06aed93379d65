//! Downloading a repo and believing nothing: the key comes from the DID document, every hash and signature is checked.

use crate::target::Target;
use rookery_atproto::car::{self, Car};
use rookery_atproto::crypto::PublicKey;
use rookery_atproto::identity::did_doc::DidDocument;
use rookery_atproto::mst::{Link, Mst};
use rookery_atproto::repo::{Commit, verify_repo};
use rookery_atproto::syntax::Did;
use std::collections::BTreeMap;

/// A repo that holds.
#[derive(Debug)]
pub struct Repo {
    /// Its signed commit.
    pub commit: Commit,
    /// CID of every record by `collection/rkey`.
    pub records: BTreeMap<String, String>,
    /// The download.
    pub car: Car,
}

/// The DID document, from the directory.
pub async fn did_document(target: &Target, did: &str) -> DidDocument {
    let answer = target.get(&format!("{}/{did}", target.directory)).await;
    assert_eq!(answer.status, 200, "{answer}");
    DidDocument::parse_for(&Did::parse(did).unwrap(), &answer.body).unwrap()
}

/// The key that must have signed the repo's commits.
pub async fn signing_key(target: &Target, did: &str) -> PublicKey {
    did_document(target, did).await.signing_key().expect("the DID document has a signing key")
}

/// Downloads a repo, or what came after a revision. Every block has the hash it is named by.
pub async fn download(target: &Target, did: &str, since: Option<&str>) -> Car {
    let mut params = vec![("did", did)];
    params.extend(since.map(|since| ("since", since)));
    let answer = target.query("com.atproto.sync.getRepo", &params).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("content-type"), car::MEDIA_TYPE);
    car::read_all(&answer.body).unwrap_or_else(|error| panic!("the repo of {did}: {error}"))
}

/// Checks a download: signed by that key, canonical, and complete.
pub fn check(car: Car, did: &str, key: &PublicKey) -> Repo {
    let verified = verify_repo(&car, &Did::parse(did).unwrap(), key)
        .unwrap_or_else(|error| panic!("the repo of {did}: {error}"));
    let records = verified.records.into_iter().map(|(path, cid)| (path, cid.to_string())).collect();
    Repo { commit: verified.commit, records, car }
}

/// Downloads a repo and checks all of it.
pub async fn verified(target: &Target, did: &str) -> Repo {
    let key = signing_key(target, did).await;
    check(download(target, did, None).await, did, &key)
}

/// Checks a proof of a path: signed by that key, with the nodes that lead to the path, the record if it is there, and nothing
/// else. The CID of the record, or none when the proof is that there is none.
pub fn check_proof(car: &Car, did: &str, key: &PublicKey, path: &str) -> Option<String> {
    assert_eq!(car.roots.len(), 1, "a proof has one root");
    let commit = Commit::decode(&car.blocks[&car.roots[0]]).unwrap();
    commit.verify(key).unwrap_or_else(|error| panic!("the proof of {path}: {error}"));
    assert_eq!(commit.did.as_str(), did);
    let mut tree = Mst::open(&car.blocks, Link::to_cid(commit.data));
    let found = tree.get(path).unwrap_or_else(|error| panic!("the proof of {path}: {error}"));
    assert!(found.is_none_or(|cid| car.blocks.contains_key(&cid)), "the record at {path} is missing");
    let needed = 1 + tree.path(path).unwrap().len() + usize::from(found.is_some());
    assert_eq!(car.blocks.len(), needed, "blocks that the proof of {path} has no need of");
    found.map(|cid| cid.to_string())
}
