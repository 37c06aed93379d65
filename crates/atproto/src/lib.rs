//! The AT Protocol as pure functions: no I/O, no clock, no async.
//!
//! | module | what it holds |
//! |---|---|
//! | [`syntax`] | the identifiers of the network: DID, handle, NSID, record key, TID, AT-URI, datetime |
//! | [`data`] | the data model: values, CIDs, strict DAG-CBOR, atproto JSON, record rules |
//! | [`crypto`] | secp256k1 and P-256 keys, did:key, low-S signatures |
//! | [`mst`] | the Merkle search tree: edits, walks, diffs, proofs |
//! | [`repo`] | signed commits, applying and inverting writes, verification |
//! | [`car`] | CAR v1 as streams |
//! | [`event`] | frames of the firehose |
//! | [`identity`] | did:plc operations, DID documents, handle rules |

pub mod car;
pub mod crypto;
pub mod data;
pub mod event;
pub mod identity;
pub mod mst;
pub mod repo;
pub mod syntax;
