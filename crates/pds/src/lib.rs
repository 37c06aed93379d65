//! The server without a host: every endpoint and every SQL statement.
//!
//! A host (native or Cloudflare) supplies the [`ports`], opens an [`App`](app::App) and serves
//! [`http::router`]. Nothing here opens a file, a socket or a thread, or asks for the time.
//!
//! | module | what it holds |
//! |---|---|
//! | [`app`], [`config`], [`ports`] | the server's state, what the operator decided, what the host supplies |
//! | [`sequencer`] | the firehose: events into the log, and out of it in order |
//! | [`store`] | every SQL statement and the schema |
//! | `repo` | commit, read, export |
//! | `blob` | uploads, what refers to them, and their end |
//! | `account` | changes of an account's status and handle |
//! | [`directory`] | handles and lists of repos, where all accounts are in one store |
//! | `enroll` | from a signed request to an account |
//! | `plc` | the did:plc directory, embedded or elsewhere |
//! | [`relay`] | relays: asked to crawl, and what they say |
//! | [`limits`] | how much accounts and addresses may ask for |
//! | [`http`], `xrpc` | routes, authentication, and one file per endpoint |

mod account;
pub mod app;
mod blob;
pub mod config;
pub mod directory;
mod enroll;
pub mod error;
pub mod http;
pub mod limits;
mod plc;
pub mod ports;
pub mod relay;
mod repo;
mod resolve;
mod restored;
mod seal;
pub mod sequencer;
pub mod store;
pub mod terms;
mod well_known;
mod xrpc;
