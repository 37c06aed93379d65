//! An enrolled agent: its account, and requests in its name.

use crate::connection::{Connection, MAX_ANSWER_BYTES, Proof, Request, bare};
use crate::enroll::{Enroll, Enrolled, Signup, sign_up, terms};
use crate::error::{Error, Result};
use crate::keys::AgentKey;
use crate::origin::Origin;
use crate::profile::{Profile, ProfileDir};
use crate::prover::Prover;
use crate::retry::Retry;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use rookery_atproto::syntax::{Did, Handle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// An agent with an account. Cheap to share behind an [`Arc`]; every method takes `&self`.
pub struct Agent {
    connection: Connection,
    did: Did,
    handle: Handle,
    /// Replaced when the agent accepts new terms.
    access_token: RwLock<Arc<str>>,
    recovery_key: Option<String>,
}

/// Who an agent is, checked with its service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The service.
    pub url: String,
    /// The account.
    pub did: Did,
    /// Its handle, as the service gives it now.
    pub handle: Handle,
    /// True when the handle points back to the DID.
    pub handle_is_correct: bool,
    /// JOSE name of the key's algorithm.
    pub alg: String,
    /// RFC 7638 thumbprint of the key: what the service knows the agent by.
    pub thumbprint: String,
    /// The public half of the recovery key that was sent at enrollment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<String>,
    /// False when the service's terms changed since they were signed: [`Agent::reconsent`] accepts the new ones.
    pub terms_current: bool,
    /// NSIDs of the collections that have records.
    pub collections: Vec<String>,
}

impl Agent {
    /// Enrolls: reads the terms, signs them, and signs up. A key that is known to the service already gets back
    /// its account, whatever handle is asked for.
    ///
    /// Save the key *before* (see [`ProfileDir::save_key`]): it is the account.
    pub async fn enroll(enroll: Enroll) -> Result<Self> {
        let origin = Origin::parse(&enroll.url)?;
        let ref_ = enroll.entry_url();
        let recovery_key = enroll.recovery_key.as_ref().map(|key| key.did_key());
        let connection = Connection::new(origin, Prover::new(enroll.key), enroll.retry)?;
        let signup = Signup { handle: enroll.handle, recovery_key: recovery_key.clone(), ref_ };
        let Enrolled { access_token, did, handle, .. } = sign_up(&connection, &signup).await?;
        Ok(Self { connection, did, handle, access_token: RwLock::new(access_token.into()), recovery_key })
    }

    /// The agent that was saved in a profile.
    pub fn from_profile(dir: &ProfileDir) -> Result<Self> {
        let missing = |what: &str| {
            Error::profile(
                dir.path(),
                format!("there is no {what}; run `rookery agent enroll URL HANDLE --profile {}`", dir.name()),
            )
        };
        let profile = dir.load()?.ok_or_else(|| missing("enrolled agent here"))?;
        let key = dir.load_key()?.ok_or_else(|| missing("key.pem"))?;
        Self::new(profile, key, Retry::default())
    }

    /// An agent from its parts.
    pub fn new(profile: Profile, key: AgentKey, retry: Retry) -> Result<Self> {
        let connection = Connection::new(Origin::parse(&profile.url)?, Prover::new(key), retry)?;
        let Profile { did, handle, access_token, recovery_key, .. } = profile;
        Ok(Self { connection, did, handle, access_token: RwLock::new(access_token.into()), recovery_key })
    }

    /// What is to be kept beside the key.
    pub fn profile(&self) -> Profile {
        Profile {
            url: self.connection.origin.to_string(),
            did: self.did.clone(),
            handle: self.handle.clone(),
            access_token: self.token().as_ref().to_owned(),
            alg: self.key().alg().as_str().to_owned(),
            recovery_key: self.recovery_key.clone(),
        }
    }

    /// Saves the profile, and the key unless it is there already.
    pub fn save(&self, dir: &ProfileDir) -> Result<()> {
        match dir.load_key()? {
            None => dir.save_key(self.key())?,
            Some(saved) if saved.thumbprint() == self.key().thumbprint() => {}
            Some(_) => {
                return Err(Error::profile(dir.path(), "there is another agent's key; choose another name"));
            }
        }
        dir.save(&self.profile())
    }

    /// The account.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// The account's handle as it was at enrollment.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The service.
    pub fn origin(&self) -> &Origin {
        &self.connection.origin
    }

    /// The agent's key.
    pub fn key(&self) -> &AgentKey {
        self.connection.prover.key()
    }

    /// Asks the service who this agent is, and whether the terms are still those that it signed.
    pub async fn whoami(&self) -> Result<WhoAmI> {
        let repo = self.describe_repo().await?;
        let terms = terms(&self.connection).await?;
        let signed = token_claim(&self.token(), "tos_hash");
        Ok(WhoAmI {
            url: self.connection.origin.to_string(),
            did: self.did.clone(),
            handle: repo.handle,
            handle_is_correct: repo.handle_is_correct,
            alg: self.key().alg().as_str().to_owned(),
            thumbprint: self.key().thumbprint().to_string(),
            recovery_key: self.recovery_key.clone(),
            terms_current: signed.as_deref()
                == Some(BASE64URL_NOPAD.encode(&Sha256::digest(&terms)).as_str()),
            collections: repo.collections,
        })
    }

    /// The current terms of the service, as bytes: what [`reconsent`](Self::reconsent) signs.
    pub async fn terms(&self) -> Result<Bytes> {
        terms(&self.connection).await
    }

    /// Signs the current terms and takes the new token. The account stays the same. Save the agent afterwards.
    pub async fn reconsent(&self) -> Result<()> {
        let signup = Signup { handle: self.handle.to_string(), recovery_key: None, ref_: None };
        let enrolled = sign_up(&self.connection, &signup).await?;
        if enrolled.did != self.did {
            let url = self.connection.origin.url("/api/signup");
            return Err(Error::protocol(url, format!("it answered with another account, {}", enrolled.did)));
        }
        *self.access_token.write().unwrap_or_else(PoisonError::into_inner) = enrolled.access_token.into();
        Ok(())
    }

    /// Calls an XRPC query in the agent's name.
    pub async fn query<T: DeserializeOwned>(&self, nsid: &str, params: &[(&str, &str)]) -> Result<T> {
        self.get(nsid, params, Proof::Token(self.token())).await
    }

    /// Calls an XRPC query that needs no account; costs neither side a signature.
    pub async fn public_query<T: DeserializeOwned>(&self, nsid: &str, params: &[(&str, &str)]) -> Result<T> {
        self.get(nsid, params, Proof::None).await
    }

    /// Calls an XRPC procedure in the agent's name. Never repeated once it may have been carried out.
    pub async fn procedure<T: DeserializeOwned>(&self, nsid: &str, input: &impl Serialize) -> Result<T> {
        let request = Request::post(self.xrpc_url(nsid, &[]), input, Proof::Token(self.token()))?;
        self.parsed(&request).await
    }

    async fn get<T: DeserializeOwned>(&self, nsid: &str, params: &[(&str, &str)], proof: Proof) -> Result<T> {
        self.parsed(&Request::get(self.xrpc_url(nsid, params), proof)).await
    }

    async fn parsed<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        let body = self.connection.call(request, MAX_ANSWER_BYTES).await?;
        // A procedure without output answers with nothing.
        let json: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(json).map_err(|error| {
            Error::protocol(bare(&request.url), format!("not the JSON it should be: {error}"))
        })
    }

    pub(crate) fn xrpc_url(&self, nsid: &str, params: &[(&str, &str)]) -> reqwest::Url {
        let mut url = self.connection.origin.url(&format!("/xrpc/{nsid}"));
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        url
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn token(&self) -> Arc<str> {
        Arc::clone(&self.access_token.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("did", &self.did)
            .field("origin", &self.connection.origin)
            .finish_non_exhaustive()
    }
}

/// A text claim of the agent's own token, unchecked.
fn token_claim(token: &str, name: &str) -> Option<String> {
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get(name)?.as_str().map(str::to_owned)
}
