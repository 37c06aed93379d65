//! What the core needs from its host. Each port is small and object-safe.
//!
//! State has one port, [`Engine`], because SQL is synchronous on both hosts: a [`Job`] runs inside one
//! transaction and never awaits. Everything that is elsewhere (other origins, DNS, the PLC directory)
//! is asynchronous and never called between a read and the write that depends on it.

mod blobs;
mod directory;
mod engine;
mod net;
mod nothing;

pub use blobs::{BlobError, BlobStream, Blobs, Upload};
pub use directory::{Claim, Directory, DirectoryError, Entry, Holder, Listed, Page};
pub use engine::{
    ByteStream, Engine, EngineError, Job, Mode, RepoId, Row, Sql, SqlError, StreamJob, Turn, Value, Written,
    run,
};
pub use net::{HttpRequest, HttpResponse, Method, Net, NetError};
pub use nothing::Nothing;

use crate::terms::Terms;
use futures_util::future::BoxFuture;
use rookery_auth::jws::SignatureCheck;
use std::sync::Arc;

/// Wall clock of the host.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch. May go back when the machine's clock is set.
    fn now_micros(&self) -> i64;
}

/// Randomness of the host, fit for keys.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
}

/// The host has no randomness to give; nothing that needs it may go on.
#[derive(Debug, thiserror::Error)]
#[error("no randomness available: {0}")]
pub struct EntropyError(pub String);

/// Checks signatures of agents' keys (RSA, P-256, Ed25519): native code on one host, WebCrypto on the other.
pub trait Verify: Send + Sync {
    /// True when `check.signature` over `check.message` is valid for `check.key`.
    fn verify(&self, check: SignatureCheck) -> BoxFuture<'_, bool>;
}

/// Where the terms of service come from.
pub trait TermsSource: Send + Sync {
    /// The terms as they are now; a changed file counts from the next call on. The error is for the log.
    fn current(&self) -> Result<Arc<Terms>, String>;
}
