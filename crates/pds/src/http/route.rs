//! Which account a request belongs to, for a host that keeps accounts apart: told from the head of the request alone, before
//! anything is read or checked.
//!
//! A request of an agent goes by the key of its proof, and one that reads a repo by the parameter that names it. What names
//! nobody, or names somebody in a way that cannot be read, belongs to nobody: the [router](super::router) of a server without
//! accounts says what is wrong with it. So being wrong here reveals nothing and allows nothing: whoever a request is given to
//! checks it from the beginning.

use super::auth::DPOP;
use super::params::Params;
use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use rookery_atproto::syntax::{AtIdentifier, Did, Handle};
use rookery_auth::authorization::single_proof;
use rookery_auth::dpop::UnverifiedProof;
use rookery_auth::jwk::Thumbprint;

/// Whose a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// No account's.
    Nobody,
    /// The account of this key, or the one that it is about to have. Whether the request is by the key is not known yet.
    Key(Thumbprint),
    /// The account with this DID, if it is here.
    Did(Did),
    /// The account with this handle, if it is here.
    Handle(Handle),
    /// All accounts': the firehose, and what is known of relays.
    Sequencer,
    /// The did:plc directory's, where there is one.
    Plc,
}

/// Whose a request is.
pub fn owner(parts: &Parts) -> Owner {
    let found = match (asked_for(parts.uri.path()), &parts.method) {
        (Asked::Write, &Method::POST) | (Asked::OwnRepo, &Method::GET | &Method::HEAD) => key(parts),
        (Asked::Repo(name), &Method::GET | &Method::HEAD) => repo(parts, name),
        // A preflight is about nobody.
        (_, &Method::OPTIONS) => None,
        (Asked::Sequencer, _) => Some(Owner::Sequencer),
        (Asked::Plc, _) => Some(Owner::Plc),
        _ => None,
    };
    found.unwrap_or(Owner::Nobody)
}

/// What tells whose a request is.
#[derive(Clone, Copy)]
enum Asked {
    /// Nothing.
    Nobody,
    /// The proof: the agent changes something.
    Write,
    /// The proof: the agent asks for what is its own.
    OwnRepo,
    /// The parameter of this name.
    Repo(&'static str),
    /// The path.
    Sequencer,
    /// The path.
    Plc,
}

fn asked_for(path: &str) -> Asked {
    let Some(nsid) = path.strip_prefix("/xrpc/") else {
        return match path {
            "/api/signup" => Asked::Write,
            _ if names_did_plc(path) => Asked::Plc,
            _ => Asked::Nobody,
        };
    };
    match nsid {
        "com.atproto.repo.createRecord"
        | "com.atproto.repo.putRecord"
        | "com.atproto.repo.deleteRecord"
        | "com.atproto.repo.applyWrites"
        | "com.atproto.repo.uploadBlob" => Asked::Write,
        "com.atproto.repo.listMissingBlobs" => Asked::OwnRepo,
        "com.atproto.repo.getRecord" | "com.atproto.repo.listRecords" | "com.atproto.repo.describeRepo" => {
            Asked::Repo("repo")
        }
        "com.atproto.sync.getRepo"
        | "com.atproto.sync.getLatestCommit"
        | "com.atproto.sync.getRepoStatus"
        | "com.atproto.sync.getBlob"
        | "com.atproto.sync.listBlobs"
        | "com.atproto.sync.getBlocks"
        | "com.atproto.sync.getRecord" => Asked::Repo("did"),
        "com.atproto.sync.subscribeRepos" | "_health" => Asked::Sequencer,
        _ => Asked::Nobody,
    }
}

/// Clients of the directory percent-encode the colons.
fn names_did_plc(path: &str) -> bool {
    percent_decode_str(path).take("/did:plc:".len()).eq("/did:plc:".bytes())
}

/// The key in the header of the proof.
fn key(parts: &Parts) -> Option<Owner> {
    let proofs = parts.headers.get_all(DPOP).into_iter().map(|value| value.as_bytes());
    let proof = UnverifiedProof::parse(single_proof(proofs).ok()?).ok()?;
    Some(Owner::Key(proof.jwk().thumbprint()))
}

/// The account that a parameter names.
fn repo(parts: &Parts, name: &str) -> Option<Owner> {
    // The one array there is among these requests.
    let params = Params::with_array(parts, "cids").ok()?;
    match params.required(name).ok()? {
        AtIdentifier::Did(did) => Some(Owner::Did(did)),
        AtIdentifier::Handle(handle) if name == "repo" => Some(Owner::Handle(handle)),
        AtIdentifier::Handle(_) => None,
    }
}

#[cfg(test)]
mod tests;
