//! Host 2: the server on Cloudflare Workers.
//!
//! The core runs unchanged inside Durable Objects. This crate is what it asks of its host, made of what the platform has:
//!
//! | module | what it is |
//! |---|---|
//! | `account` | the Durable Object of one agent: the core's router over the object's own database |
//! | `outbox` | its events, on their way to the Sequencer |
//! | `sequencer` | the Durable Object that has the events of all |
//! | `firehose` | those who listen to it |
//! | `relays` | those who are asked to |
//! | `alarm` | what wakes an object |
//! | `edge` | what answers first: decides which object a request belongs to |
//! | `d1` | the directory of accounts: whose a handle is, and where an account is |
//! | `sequencer_calls` | what the Sequencer is asked |
//! | `plc` | the Durable Object of the did:plc directory, on localhost |
//! | `host` | what the core is opened with in each of these |
//! | `sql` | the store: SQLite in the object, a transaction for each job |
//! | `exports` | exports in progress, each of one commit |
//! | `r2` | the bytes of blobs |
//! | `net` | other origins, and DNS over HTTPS |
//! | `webcrypto` | signatures of agents' keys |
//! | `system` | time, randomness, terms |
//! | `settings` | variables and secrets of the Worker, as the core's configuration |
//! | `http` | requests and responses, from the runtime's to the core's and back |
//! | `log` | what is logged, on the console |
//! | `js` | what the runtime has and no crate binds |
//!
//! `entry.js` is the module that the runtime loads. It starts the core anew after a panic.
//!
//! Everything in an isolate runs on one thread, and nothing of JavaScript may go to another. The core's ports ask for `Send`
//! all the same, since other hosts have threads: what is JavaScript's is wrapped in the types of [`worker::send`], which say so
//! without more.

#![cfg(target_arch = "wasm32")]
#![expect(missing_docs, reason = "the attribute of a Durable Object makes methods without them")]

mod account;
mod alarm;
mod d1;
mod edge;
mod exports;
mod firehose;
mod host;
mod http;
mod js;
mod log;
mod net;
mod outbox;
mod plc;
mod r2;
mod relays;
mod sequencer;
mod sequencer_calls;
mod settings;
mod sql;
mod system;
mod webcrypto;

pub use account::Account;
pub use edge::fetch;
pub use plc::Plc;
pub use sequencer::Sequencer;
