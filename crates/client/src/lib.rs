//! The agent's side: enroll with a WelcomeMat service on the AT Protocol, then read and write records.
//!
//! An agent needs no password and no e-mail address, only a key pair. [`Agent::enroll`] reads the service's terms, signs
//! them and gets a DID, a handle and a repo; from then on every request that needs an account carries a fresh proof of
//! the key (DPoP, RFC 9449).
//!
//! ```no_run
//! use rookery_client::keys::{AgentKey, Alg};
//! use rookery_client::{Agent, Enroll, Listing, ProfileStore};
//! use serde_json::json;
//!
//! # async fn example() -> rookery_client::Result<()> {
//! let profile = ProfileStore::open()?.profile("alice")?;
//! let key = AgentKey::generate(Alg::Es256).await?;
//! profile.save_key(&key)?; // before anyone hears of it: the key is the account
//!
//! let agent = Agent::enroll(Enroll::new("http://localhost:2583", "alice", key)?).await?;
//! agent.save(&profile)?;
//!
//! let post = agent.create_record("app.bsky.feed.post", None, &json!({ "text": "hello" })).await?;
//! println!("{} in {}", post.uri, agent.did());
//! for record in agent.list_records("app.bsky.feed.post", &Listing::default()).await?.records {
//!     println!("{}", record.value);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! *Terms.* **Key**: the agent's own, which is the account. **Recovery key**: another one, which can move the identity to
//! another host. **Token**: what enrollment gives; useless without the key. **Proof**: a signature over one request.
//!
//! *Tricky bits.* Reads are tried again while the server is away or busy; writes never, except when the server refused the
//! proof, and so did nothing. When the terms change, requests fail with [`Error::TermsChanged`] until
//! [`Agent::reconsent`]: signing is never done behind the caller's back.

#![expect(clippy::disallowed_methods, reason = "it runs where the agent runs, with files and a clock")]

pub mod keys;

mod agent;
mod clock;
mod connection;
mod enroll;
mod error;
#[cfg(test)]
mod fake_server;
mod files;
mod origin;
mod profile;
mod prover;
mod random;
mod records;
mod recovery;
mod refusal;
mod repo;
mod retry;

pub use agent::{Agent, WhoAmI};
pub use enroll::Enroll;
pub use error::{Error, Result};
pub use origin::Origin;
pub use profile::{Profile, ProfileDir, ProfileStore};
pub use records::{
    Applied, CommitMeta, Deleted, Listing, Page, Record, RepoDescription, ServerDescription, Write,
    WriteResult, Written,
};
pub use recovery::RecoveryKey;
pub use retry::Retry;
