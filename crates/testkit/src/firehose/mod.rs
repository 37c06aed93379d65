//! Following the firehose and believing nothing of it.
//!
//! | module | what it does |
//! |---|---|
//! | [`subscribe`] | a WebSocket client for `com.atproto.sync.subscribeRepos` |
//! | [`frame`] | bytes to events, with exactly the members and sizes of the lexicon |
//! | [`checker`] | what a relay checks of each event, and every repo rebuilt from events alone |
//! | [`audit`] | all of it over one host: live against replayed, rebuilt against exported |
//!
//! None of it shares code with the server's encoder; CBOR, CAR and the tree come from `rookery_atproto`, whose own tests
//! hold them against other implementations.

pub mod audit;
pub mod checker;
pub mod frame;
pub mod subscribe;

pub use audit::{Auditor, Witness, audit};
pub use checker::{Begin, Checker, Fault};
pub use frame::{Body, Event, Frame};
pub use subscribe::{Closed, Received, Subscription};
