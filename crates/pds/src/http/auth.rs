//! Who is asking: a WelcomeMat access token and a DPoP proof of the same key.
//!
//! Everything that is cheap is checked before the signature: a request that is wrong in form, time or target costs no RSA.

use crate::app::App;
use crate::config::{ProofMemory, limits};
use crate::error::{Error, Result};
use crate::http::body::Held;
use crate::limits::{Client, account_key};
use crate::ports::{RepoId, Sql};
use crate::store;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{Method, StatusCode};
use quick_cache::sync::Cache;
use rookery_atproto::syntax::{AtIdentifier, Did, Handle};
use rookery_auth::authorization::{AuthorizationError, dpop_token, single_proof};
use rookery_auth::dpop::{Expect, Proof, UnverifiedProof};
use rookery_auth::replay::proof_digest;
use rookery_auth::welcome_mat::{AccessToken, TokenError, UnverifiedToken};
use sha2::{Digest, Sha256};
use std::sync::{Arc, PoisonError};

pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Access tokens whose signature holds, by their SHA-256.
pub(crate) type TokenCache = Cache<[u8; 32], Arc<KnownToken>>;

/// A verified token and the account of its key.
#[derive(Debug)]
pub(crate) struct KnownToken {
    token: AccessToken,
    account: RepoId,
    did: Did,
}

/// An authenticated agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// Its account.
    pub account: RepoId,
    /// Its DID.
    pub did: Did,
    /// The proof of this request. Whatever answers a `POST` consumes it, with the write or with finding nothing to write.
    pub proof: UsedProof,
    /// Where it sends from, and what it is told of its limits.
    pub client: Client,
    /// Counts the request's body as long as it is worked on.
    pub body: Option<Arc<Held>>,
}

/// A proof that was accepted for this request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsedProof {
    iat: i64,
    digest: [u8; 16],
}

impl UsedProof {
    /// Marks the proof as used, in the transaction of what it is used for. A proof that an earlier run of the server took is
    /// refused here.
    pub(crate) fn consume(self, sql: &dyn Sql) -> Result<()> {
        if store::proof::consume(sql, self.iat, &self.digest)? { Ok(()) } else { Err(replayed()) }
    }
}

/// The agent of a request. Failures are counted under the address; too many, and nothing is checked any more for a while.
pub(crate) async fn authenticate(app: &App, parts: &Parts) -> Result<Agent> {
    let client = Client::of(parts);
    if let Some(address) = client.address {
        app.limits.failures.require_left(address, app.now_micros())?;
    }
    let outcome = identify(app, parts, &client).await;
    let failed = outcome.as_ref().is_err_and(|error| error.status == StatusCode::UNAUTHORIZED);
    if let Some(address) = client.address.filter(|_| failed) {
        app.limits.failures.count(address, app.now_micros());
    }
    outcome
}

async fn identify(app: &App, parts: &Parts, client: &Client) -> Result<Agent> {
    let text = dpop_token(values(parts, &header::AUTHORIZATION)).map_err(no_authorization)?;
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let known = app.tokens.get(&hash);
    let writes = parts.method == Method::POST;
    if let Some(known) = known.as_ref().filter(|_| writes) {
        // Who goes on all the same costs no signature check.
        app.limits.writes.require_left(account_key(known.account), app.now_micros())?;
    }
    let (proof, used) = proof(app, parts, Some(text)).await?;
    let known = match known {
        Some(known) => known,
        None => {
            let known = Arc::new(verified_token(app, text, &proof).await?);
            app.tokens.insert(hash, Arc::clone(&known));
            known
        }
    };
    let terms = app.terms()?;
    known
        .token
        .check(app.now_seconds(), limits::CLOCK_SKEW, &app.config.origins, &proof.thumbprint, &terms.hash)
        .map_err(bad_token)?;
    if writes {
        client.charge_to(&app.limits.writes, account_key(known.account), 1, app.now_micros())?;
    }
    remember(app, used)?;
    if !writes && app.config.proofs == ProofMemory::Store {
        // No write does it later.
        app.write(move |sql| used.consume(sql)).await?;
    }
    Ok(Agent {
        account: known.account,
        did: known.did.clone(),
        proof: used,
        client: client.clone(),
        body: None,
    })
}

/// Refuses a `repo` that is not the agent's own.
pub(crate) async fn require_own_repo(app: &App, agent: &Agent, repo: &AtIdentifier) -> Result<()> {
    let own = match repo {
        AtIdentifier::Did(did) => *did == agent.did,
        AtIdentifier::Handle(handle) => owner_of(app, handle.clone()).await? == Some(agent.account),
    };
    if own {
        return Ok(());
    }
    Err(Error::new(
        StatusCode::FORBIDDEN,
        "Forbidden",
        format!("An agent writes to its own repo only: yours is {}, the request names {repo}.", agent.did),
    ))
}

async fn owner_of(app: &App, handle: Handle) -> Result<Option<RepoId>> {
    app.read(move |sql| Ok(store::account::by_handle(sql, &handle)?.map(|account| account.id))).await
}

/// The proof of an enrollment, which has no access token yet. It is to be [remembered](remember) once the rest of the
/// enrollment holds, so that keys that consent to nothing cannot fill the memory of proofs.
pub(crate) async fn enrollment_proof(app: &App, parts: &Parts) -> Result<(Proof, UsedProof)> {
    proof(app, parts, None).await
}

/// RFC 9449, section 4.3: every check but that of `jti`.
async fn proof(app: &App, parts: &Parts, access_token: Option<&str>) -> Result<(Proof, UsedProof)> {
    let text = single_proof(values(parts, &DPOP)).map_err(no_proof)?;
    let unverified = UnverifiedProof::parse(text).map_err(bad_proof)?;
    let expect = Expect {
        method: parts.method.as_str(),
        origins: &app.config.origins,
        path: parts.uri.path(),
        now: app.now_seconds(),
        skew: limits::CLOCK_SKEW,
        access_token,
    };
    unverified.check(&expect).map_err(bad_proof)?;
    if !app.ports.verify.verify(unverified.signature_check()).await {
        return Err(bad_proof("The signature of the DPoP proof is not valid for the key in its header."));
    }
    let proof = unverified.verified();
    let used = UsedProof { iat: proof.iat, digest: proof_digest(&proof.thumbprint, &proof.jti) };
    Ok((proof, used))
}

/// A token seen for the first time: its signature, and whose key it is.
async fn verified_token(app: &App, text: &str, proof: &Proof) -> Result<KnownToken> {
    let token = check_token(app, text, proof).await.map_err(bad_token)?;
    let thumbprint = token.jkt;
    let account = app.read(move |sql| Ok(store::account::by_thumbprint(sql, &thumbprint)?)).await?;
    let account = account.ok_or_else(|| {
        Error::new(
            StatusCode::UNAUTHORIZED,
            "AccountNotFound",
            format!(
                "No account is enrolled with this key. Enroll first: see {}/.well-known/welcome.md",
                app.config.public_url
            ),
        )
        .challenge("invalid_token")
    })?;
    Ok(KnownToken { token, account: account.id, did: account.did })
}

/// The signature of a token by the key of the proof. Its claims are the caller's to check.
pub(crate) async fn check_token(app: &App, text: &str, proof: &Proof) -> Result<AccessToken, TokenError> {
    let unverified = UnverifiedToken::parse(text)?;
    if !app.ports.verify.verify(unverified.signature_check(&proof.key)?).await {
        return Err(TokenError::Signature);
    }
    let token = unverified.verified();
    if token.jkt != proof.thumbprint {
        return Err(TokenError::WrongKey);
    }
    Ok(token)
}

/// Remembers the proof for this process; a second use is refused.
pub(crate) fn remember(app: &App, used: UsedProof) -> Result<()> {
    let mut replay = app.replay.lock().unwrap_or_else(PoisonError::into_inner);
    replay.check_and_insert(used.digest, used.iat, app.now_seconds()).map_err(bad_proof)
}

fn values<'a>(parts: &'a Parts, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    parts.headers.get_all(name).into_iter().map(|value| value.as_bytes())
}

fn no_authorization(error: AuthorizationError) -> Error {
    let name = if matches!(error, AuthorizationError::Missing) { "AuthRequired" } else { "InvalidToken" };
    let error_text = error.to_string();
    let answer = Error::new(StatusCode::UNAUTHORIZED, name, error_text);
    if name == "AuthRequired" { answer } else { answer.challenge("invalid_token") }
}

fn no_proof(error: AuthorizationError) -> Error {
    bad_proof(error)
}

/// 401 for anything wrong with a proof.
fn bad_proof(problem: impl std::fmt::Display) -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "AuthFailed", problem.to_string()).challenge("invalid_dpop_proof")
}

fn replayed() -> Error {
    bad_proof("This DPoP proof was used before. Sign a new one, with a new jti, for every request.")
}

/// 401 for anything wrong with a token; changed terms have a name of their own.
fn bad_token(error: TokenError) -> Error {
    let name = if matches!(error, TokenError::TosChanged) { "tos_changed" } else { "InvalidToken" };
    Error::new(StatusCode::UNAUTHORIZED, name, error.to_string()).challenge("invalid_token")
}
