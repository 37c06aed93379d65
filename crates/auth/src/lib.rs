//! Who is asking, as pure steps: JWK, JWS, DPoP proofs and WelcomeMat tokens.
//!
//! Nothing here reads a clock, draws a random number or verifies a signature. What a stranger sends goes through
//! three stages, each its own type, so that the order cannot be got wrong by accident:
//!
//! 1. **parsed**: [`dpop::UnverifiedProof`], [`welcome_mat::UnverifiedToken`]. Well-formed and within bounds, but
//!    anybody may have written it. Cheap checks (method, URI, age) can be made here.
//! 2. **to be verified**: a [`jws::SignatureCheck`] says which key must have signed which bytes. The host verifies it
//!    wherever it does its arithmetic (a thread pool, WebCrypto).
//! 3. **verified**: [`dpop::Proof`], [`welcome_mat::AccessToken`], made by `verified(self)`, which the caller promises
//!    to call only after the signature was found valid.
//!
//! The other direction, for clients, is [`mint`].

pub mod authorization;
pub mod dpop;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod mint;
pub mod origin;
pub mod replay;
pub mod welcome_mat;

pub mod claims;
mod encoding;
mod htu;

#[cfg(test)]
mod testing;
