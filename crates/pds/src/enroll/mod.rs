//! Enrollment: `POST /api/signup` (WelcomeMat).
//!
//! Order: proof, signature over the terms, access token, then what this service adds (handle, recovery key). A key that is
//! enrolled consents again and keeps its account.
//!
//! The DID is registered elsewhere, and whose a handle is may be known elsewhere too, so an enrollment is steps that may each be
//! the last: *reserve* (a row that holds the handle and the signed genesis operation), *claim* (the handle, in the directory of
//! accounts), *register* (the DID), *finish* (the account, in one transaction), *settle* (the claim). A failure before the finish
//! takes row and claim away again; a crash leaves them, and the same key then resumes with the same DID, while for others the
//! handle is free again after two minutes. Once finished, an account stays: what is left is to settle it, which is tried again
//! whenever its key comes, and by [`App::settle_accounts`].

mod account;
mod settle;

use crate::app::App;
use crate::config::limits;
use crate::error::{Error, Result, invalid_request};
use crate::http::auth::{UsedProof, check_token, enrollment_proof, remember};
use crate::http::body;
use crate::http::reply::Json;
use crate::ports::{Entry, Sql};
use crate::store;
use crate::store::account::Status;
use axum::extract::{Request, State};
use http::StatusCode;
use rookery_atproto::crypto::PublicKey;
use rookery_atproto::identity::handle_rules::HandleClaimError;
use rookery_atproto::syntax::{Did, Handle};
use rookery_auth::dpop::Proof;
use rookery_auth::jwk::Thumbprint;
use rookery_auth::welcome_mat::SignupRequest;
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest body of an enrollment, in bytes: an RSA-8192 token and signature fit several times.
const BODY: usize = 32 * 1024;

/// What an enrollment asks for, once it is known to be signed by the key.
pub(crate) struct Enrollment {
    pub thumbprint: Thumbprint,
    pub handle: Handle,
    /// did:key that goes first among the rotation keys.
    pub recovery: Option<String>,
    pub entry_ref: Option<String>,
    pub proof: UsedProof,
}

/// An account that the key has.
pub(crate) struct Enrolled {
    pub did: Did,
    pub handle: Option<Handle>,
    /// What the directory is to be told yet.
    pub unsettled: Option<Entry>,
}

impl Enrolled {
    /// The account of a key, if there is one.
    fn find(sql: &dyn Sql, thumbprint: &Thumbprint) -> Result<Option<Self>> {
        let Some(account) = store::account::by_thumbprint(sql, thumbprint)? else { return Ok(None) };
        if account.status == Status::Deleted {
            return Err(Error::new(
                StatusCode::FORBIDDEN,
                "AccountDeleted",
                "The account of this key was deleted. Enroll with a new key.",
            ));
        }
        let unsettled = store::signup::unsettled_of(sql, thumbprint)?;
        Ok(Some(Self { did: account.did, handle: account.handle, unsettled }))
    }
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    let (parts, stream) = request.into_parts();
    let (proof, used) = enrollment_proof(&app, &parts).await?;
    body::require_json(&parts)?;
    let body = body::read(&parts, stream, BODY).await?;
    let signup = SignupRequest::from_json(&body).map_err(|error| invalid_request(error.to_string()))?;
    check_consent(&app, &signup, &proof).await?;
    remember(&app, used)?;

    let enrolled = match enrolled(&app, proof.thumbprint, used).await? {
        Some(account) => account,
        None => {
            let enrollment = Enrollment {
                thumbprint: proof.thumbprint,
                handle: claim(&app, &signup.handle)?,
                recovery: recovery_key(signup.recovery_key.as_deref())?,
                entry_ref: signup.entry_ref,
                proof: used,
            };
            account::make(&app, enrollment).await?
        }
    };
    let enrolled = settle::account(&app, enrolled).await?;
    Ok(Json(json!({
        "did": enrolled.did.as_str(),
        "handle": enrolled.handle.as_ref().map(|handle| handle.as_str()),
        "access_token": signup.access_token,
        "token_type": "DPoP",
    })))
}

/// The terms are signed by the key of the proof, and the token is good.
async fn check_consent(app: &App, signup: &SignupRequest, proof: &Proof) -> Result<()> {
    let terms = app.terms()?;
    if !app.ports.verify.verify(signup.tos_check(&proof.key, terms.text.as_bytes())).await {
        return Err(Error::named(
            "InvalidSignature",
            "tos_signature is not a signature by this key over the bytes of /tos as they are now. Fetch /tos again and \
             sign exactly those bytes.",
        ));
    }
    let bad = |error: rookery_auth::welcome_mat::TokenError| Error::named("InvalidToken", error.to_string());
    let token = check_token(app, &signup.access_token, proof).await.map_err(bad)?;
    token
        .check(app.now_seconds(), limits::CLOCK_SKEW, &app.config.origins, &proof.thumbprint, &terms.hash)
        .map_err(bad)
}

/// The account of an enrolled key; consenting again consumes the proof and changes nothing else.
async fn enrolled(app: &App, thumbprint: Thumbprint, proof: UsedProof) -> Result<Option<Enrolled>> {
    let found = app.read(move |sql| Enrolled::find(sql, &thumbprint)).await?;
    if found.is_some() {
        app.write(move |sql| proof.consume(sql)).await?;
    }
    Ok(found)
}

fn claim(app: &App, requested: &str) -> Result<Handle> {
    app.config.handle_domain.claim(requested).map_err(|error| {
        let name = match error {
            HandleClaimError::Reserved(_) => "HandleReserved",
            HandleClaimError::OtherDomain(_) => "UnsupportedDomain",
            _ => "InvalidHandle",
        };
        Error::named(name, error.to_string())
    })
}

fn recovery_key(given: Option<&str>) -> Result<Option<String>> {
    let Some(text) = given else { return Ok(None) };
    let key = PublicKey::from_did_key(text).map_err(|error| {
        invalid_request(format!("recoveryKey must be the did:key of a secp256k1 or P-256 key: {error}"))
    })?;
    Ok(Some(key.to_did_key()))
}
