//! Identity: who an account is and how that is written down.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plc`] | did:plc operations, their log and its rules, DID documents made from them |
//! | [`did_doc`] | reading DID documents of any method |
//! | [`handle_rules`] | which handles a host gives out |

pub mod did_doc;
pub mod handle_rules;
pub mod plc;
