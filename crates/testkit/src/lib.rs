//! The black-box conformance suite: what an agent, a relay or an attacker can see of a host, over HTTP and nothing else.
//!
//! A [`Target`] is a URL, so that any host can be put under it. A [`TestAgent`] is a client of its own, raw enough to send
//! wrong things: [`forge`] makes tokens and proofs with any member altered, [`raw`] speaks bytes to the socket.
//!
//! A *suite* is an asynchronous function in [`suites`] that takes the target and panics with a sentence that says what did
//! not hold. It makes its own agents with handles nobody else has, so that suites can run side by side on one host, also on
//! one that has other accounts. [`for_each_suite`] is the table of them.

#![expect(clippy::disallowed_methods, reason = "it tests from outside, with a clock of its own")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "this is test code: whatever does not hold ends the test"
)]

pub mod acknowledged;
pub mod agent;
pub mod answer;
pub mod firehose;
pub mod forge;
pub mod keys;
pub mod raw;
pub mod repo;
pub mod suites;
pub mod target;

pub use agent::TestAgent;
pub use answer::Answer;
pub use keys::TestKey;
pub use target::Target;
