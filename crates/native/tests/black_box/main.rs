//! The built binary from outside: it is started on a free port with a data directory of its own, and spoken to over HTTP.

#![expect(clippy::disallowed_methods, reason = "it starts hosts and looks into their files")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: whatever does not hold ends the test"
)]

mod abuse;
mod agent_cli;
mod backup;
mod blobs;
mod durability;
#[cfg(target_os = "linux")]
mod export;
mod firehose;
mod layers;
mod relay;
mod relays;
mod serve;
mod server;
mod suites;
mod upgrade;
