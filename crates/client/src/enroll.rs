//! Enrollment: read the terms, sign them, propose a token, keep the one that comes back (WelcomeMat 1.1).

use crate::connection::{Connection, Proof, Request, bare, read_body};
use crate::error::{Error, Result};
use crate::keys::AgentKey;
use crate::recovery::RecoveryKey;
use crate::retry::Retry;
use bytes::Bytes;
use reqwest::Url;
use rookery_atproto::syntax::{Did, Handle};
use serde::{Deserialize, Serialize};

/// Longer terms are not read, and so not signed.
const MAX_TERMS_BYTES: usize = 1024 * 1024;
const MAX_SIGNUP_ANSWER_BYTES: usize = 256 * 1024;

/// What an agent brings to a service.
#[derive(Debug)]
pub struct Enroll {
    /// Any URL of the service.
    pub url: String,
    /// The wished handle: a label, or the whole handle.
    pub handle: String,
    /// The key that is the account.
    pub key: AgentKey,
    /// Goes first among the DID's rotation keys. Keep it safe: it is the way back when the host is gone.
    pub recovery_key: Option<RecoveryKey>,
    /// The URL the agent was handed, verbatim; it may carry an invite. When there is none and `url` is more than
    /// an origin, `url` is sent.
    pub ref_: Option<String>,
    /// Patience with reads, of the enrollment and of the agent that comes out of it.
    pub retry: Retry,
}

impl Enroll {
    /// Enrollment with a new recovery key.
    pub fn new(url: impl Into<String>, handle: impl Into<String>, key: AgentKey) -> Result<Self> {
        Ok(Self {
            url: url.into(),
            handle: handle.into(),
            key,
            recovery_key: Some(RecoveryKey::generate()?),
            ref_: None,
            retry: Retry::default(),
        })
    }

    /// What is sent as `ref`.
    pub(crate) fn entry_url(&self) -> Option<String> {
        let more_than_an_origin = || {
            let given = self.url.trim();
            let parsed = if given.contains("://") {
                Url::parse(given)
            } else {
                Url::parse(&format!("https://{given}"))
            };
            let url = parsed.ok()?;
            let is_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
            is_more.then(|| given.to_owned())
        };
        self.ref_.clone().or_else(more_than_an_origin)
    }
}

/// The answer to a signup.
#[derive(Deserialize)]
pub(crate) struct Enrolled {
    pub(crate) access_token: String,
    token_type: String,
    pub(crate) did: Did,
    pub(crate) handle: Handle,
}

/// Signup fields beside the key and the terms.
#[derive(Debug, Serialize)]
pub(crate) struct Signup {
    pub(crate) handle: String,
    #[serde(rename = "recoveryKey", skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_key: Option<String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub(crate) ref_: Option<String>,
}

#[derive(Serialize)]
struct SignupBody<'a> {
    tos_signature: String,
    access_token: String,
    #[serde(flatten)]
    signup: &'a Signup,
}

/// The current terms: exactly the bytes that are signed.
pub(crate) async fn terms(connection: &Connection) -> Result<Bytes> {
    let url = connection.origin.url("/tos");
    let terms = connection.call(&Request::get(url.clone(), Proof::None), MAX_TERMS_BYTES).await?;
    if terms.is_empty() {
        return Err(Error::protocol(url, "the terms are empty; there is nothing to sign"));
    }
    Ok(terms)
}

/// Signs the current terms and signs up. A key that is known already gets a new token for the same account.
pub(crate) async fn sign_up(connection: &Connection, signup: &Signup) -> Result<Enrolled> {
    let terms = terms(connection).await?;
    let mut refusal = match connection.attempt(&signup_request(connection, signup, &terms).await?).await? {
        Ok(response) => return read_answer(response).await,
        Err(refusal) => refusal,
    };
    // The token carries the time as well, so that a corrected clock needs a new body.
    if let Some(wait) = connection.prover.second_chance(&refusal) {
        tokio::time::sleep(wait).await;
        refusal = match connection.attempt(&signup_request(connection, signup, &terms).await?).await? {
            Ok(response) => return read_answer(response).await,
            Err(refusal) => refusal,
        };
    }
    Err(refusal.into_error(&connection.origin))
}

async fn signup_request(connection: &Connection, signup: &Signup, terms: &Bytes) -> Result<Request> {
    let (key, now) = (connection.prover.key(), connection.prover.now());
    let consent = key.consent(terms.clone(), connection.origin.as_str(), now).await?;
    let body =
        SignupBody { tos_signature: consent.tos_signature, access_token: consent.access_token, signup };
    Request::post(connection.origin.url("/api/signup"), &body, Proof::Key)
}

async fn read_answer(response: reqwest::Response) -> Result<Enrolled> {
    let url = response.url().clone();
    let body = read_body(response, MAX_SIGNUP_ANSWER_BYTES).await?;
    let enrolled: Enrolled = serde_json::from_slice(&body)
        .map_err(|error| Error::protocol(bare(&url), format!("not the answer to a signup: {error}")))?;
    if !enrolled.token_type.eq_ignore_ascii_case("dpop") || enrolled.access_token.is_empty() {
        return Err(Error::protocol(bare(&url), "the token it gave is not a DPoP token"));
    }
    Ok(enrolled)
}

#[cfg(test)]
mod tests;
