//! `com.atproto.server`.

pub(crate) mod describe_server;
