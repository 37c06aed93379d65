//! What the operator decided, after the host has read flags, environment and file.

pub mod given;
pub mod networks;
pub mod units;

use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::Did;
use rookery_auth::origin::Origins;
use std::time::Duration;

/// Program version, as `_health` tells it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where did:plc operations go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlcChoice {
    /// The validating development directory inside this server, at the root of its origin.
    Embedded,
    /// The directory at this URL, without a trailing slash.
    Url(String),
}

/// Where the server's own key comes from, which may update every DID that it makes after the recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationKey {
    /// Made at the first start, and kept in the store.
    Stored,
    /// Derived from the master key: the same in every store under it, also where each account has one of its own.
    Derived,
}

/// How much of the event log can be read back. What is past either bound is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// An event's age.
    pub age: Duration,
    /// Events in the log.
    pub events: u64,
}

/// Relays that are told of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relays {
    /// Their origins, without a trailing slash.
    pub origins: Vec<String>,
    /// Accounts that a relay takes from a server that it does not know. At least 1.
    pub account_cap: u64,
}

/// Bounds on blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRules {
    /// The largest blob, in bytes.
    pub limit: u64,
    /// How long a blob is kept that no record refers to.
    pub grace: Duration,
}

/// Where the proofs that were taken are remembered, so that none is taken twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofMemory {
    /// In memory, and in the store if a write consumed them. After a start those are refused that were signed before it: for
    /// a process that runs for long.
    Process,
    /// In the store, all that were accepted, also for a request that only reads. None is refused for being older than the
    /// process: for one that ends when nobody asks for anything and is started by the next request.
    Store,
}

/// So many points in each window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Points that can be used.
    pub points: u32,
    /// How long after the first of them they are back.
    pub window: Duration,
}

/// How much accounts and addresses may ask for. Without a rate there is no limit; at most two are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Writes of an account: a create costs 3 points, an update 2, a delete and any other procedure 1.
    pub writes: Vec<Rate>,
    /// Uploads of an account.
    pub uploads: Vec<Rate>,
    /// Requests from an address that are not writes.
    pub reads: Vec<Rate>,
    /// Exports of repos to an address. They are not among the reads.
    pub exports: Vec<Rate>,
    /// Enrollments from an address, failed ones too.
    pub signups: Vec<Rate>,
    /// Failed authentications from an address.
    pub failures: Vec<Rate>,
}

/// Configuration of the core.
#[derive(Clone, Debug)]
pub struct Config {
    /// What `aud` and `htu` may name: the public origin; in local mode the three names of the loopback too.
    pub origins: Origins,
    /// The public origin, without a trailing slash. Service endpoint of every DID document.
    pub public_url: String,
    /// The server's own did:web.
    pub service_did: Did,
    /// Parent domain of the handles given here.
    pub handle_domain: HandleDomain,
    /// Where did:plc operations go.
    pub plc: PlcChoice,
    /// Where the server's own key in DIDs comes from.
    pub rotation_key: RotationKey,
    /// How much of the event log is kept.
    pub retention: Retention,
    /// Who is told that there is something to crawl.
    pub relays: Relays,
    /// Bounds on blobs.
    pub blobs: BlobRules,
    /// Where proofs are remembered.
    pub proofs: ProofMemory,
    /// How much accounts and addresses may ask for.
    pub rates: RateLimits,
    /// True on a loopback hostname without TLS.
    pub local: bool,
}

/// Limits on what strangers send. Documented in welcome.md and in the operator's guide.
pub mod limits {
    /// Body of most JSON calls, in bytes.
    pub const JSON_BODY: usize = 150_000;
    /// Body of `createRecord` and `putRecord`: a record of 1,000,000 bytes of CBOR is up to a third longer in JSON.
    pub const RECORD_BODY: usize = 2 * 1024 * 1024;
    /// Body of `applyWrites`: a commit's 2,000,000 bytes of blocks, in JSON.
    pub const BATCH_BODY: usize = 4 * 1024 * 1024;
    /// Bytes after which a page of `listRecords` ends, however few records are in it.
    pub const PAGE: usize = 4 * 1024 * 1024;
    /// Writes in one commit.
    pub const WRITES: usize = rookery_atproto::event::MAX_OPS;
    /// Bytes of the blocks of one commit: new records and nodes, and those that others need to check it.
    pub const COMMIT_BLOCKS: usize = rookery_atproto::event::MAX_COMMIT_BLOCKS;
    /// A delivery of events to the log that accounts share, in bytes.
    pub const DELIVERY: usize = 16 * 1024 * 1024;
    /// Bytes of the events in one: what else is in it has no more.
    pub const DELIVERY_EVENTS: usize = 4 * 1024 * 1024;
    /// CIDs in one `getBlocks`: as many as its query string has room for, beside a DID of any usual length.
    pub const BLOCKS: usize = 100;
    /// How far a proof's or token's `iat` may be off, in seconds.
    pub const CLOCK_SKEW: i64 = 300;
    /// Proofs remembered against replay.
    pub const REPLAY_PROOFS: usize = 1 << 21;
    /// Verified access tokens kept.
    pub const TOKEN_CACHE: usize = 10_000;
    /// How long an abandoned enrollment holds its handle, in microseconds.
    pub const RESERVATION: i64 = 120 * 1_000_000;
    /// How long an abandoned enrollment can be resumed by its key, in microseconds.
    pub const RESUMABLE: i64 = 24 * 3_600 * 1_000_000;
    /// A handle's `/.well-known/atproto-did`, in bytes; a DID is at most 2048.
    pub const HANDLE_DOCUMENT: usize = 4 * 1024;
    /// Answer of another server that is read, in bytes.
    pub const REMOTE_DOCUMENT: usize = 256 * 1024;
    /// Bytes of an account's blobs that no record refers to.
    pub const UNREFERENCED_BYTES: u64 = 1024 * 1024 * 1024;
    /// An account's blobs that no record refers to.
    pub const UNREFERENCED_BLOBS: u64 = 10_000;
    /// Blobs that the records of one commit refer to.
    pub const COMMIT_BLOBS: usize = 500;
    /// Uploads in progress: of one account, and of all.
    pub const UPLOADS: (usize, usize) = (8, 256);
    /// Exports in progress to one address: `getRepo`, `getBlocks`. A host has places for 32 in all; further ones wait.
    pub const EXPORTS: usize = 16;
    /// Bytes of the bodies of writes in memory, from their arrival to their answer: of one account, and of all.
    pub const BODIES: (usize, usize) = (16 * 1024 * 1024, 128 * 1024 * 1024);
    /// Bytes a second that an upload must come with, after a minute to begin.
    pub const UPLOAD_PACE: u64 = 8 * 1024;
    /// How long a blob that has arrived may take into the store.
    pub const BLOB_KEEP: std::time::Duration = std::time::Duration::from_secs(30 * 60);
    /// How long an object that is not a blob yet is held for its upload, in microseconds: longer than that takes.
    pub const BLOB_HOLD: i64 = 3_600 * 1_000_000;
}
