//! One service over HTTP: bounded answers, proofs that fit the server's clock and nonce, patience with reads.
//!
//! *Terms.* An **attempt** is one request on the wire. A **call** is what the caller asked for: one attempt, plus
//! * one more when the server refused the *proof* for its time or for want of a nonce: nothing was done then, so that
//!   writes may be repeated too;
//! * for reads, a few more with growing waits while the server is away or busy.
//!
//! *Tricky bits.* A proof works once, so that every attempt mints its own. Redirects are not followed: a proof names the
//! URL it is for.

use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::prover::Prover;
use crate::refusal::Refusal;
use crate::retry::Retry;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method, Response, Url, header};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Longest answer that is kept in memory.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// A longer error answer is cut; its text is only shown.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence within an answer, however long the whole takes.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// What to send; everything about *how* is the connection's.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Sent as `application/json`.
    pub(crate) json: Option<Bytes>,
    pub(crate) proof: Proof,
}

/// How a request shows who is asking.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Not at all.
    None,
    /// A DPoP proof alone: enrollment.
    Key,
    /// The access token and a proof bound to it.
    Token(Arc<str>),
}

impl Request {
    pub(crate) fn get(url: Url, proof: Proof) -> Self {
        Self { method: Method::GET, url, json: None, proof }
    }

    pub(crate) fn post(url: Url, body: &impl Serialize, proof: Proof) -> Result<Self> {
        let json = serde_json::to_vec(body).map_err(|error| {
            Error::protocol(bare(&url), format!("the request cannot be written as JSON: {error}"))
        })?;
        Ok(Self { method: Method::POST, url, json: Some(json.into()), proof })
    }
}

/// A client for one origin and one key.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    pub(crate) origin: Origin,
    pub(crate) prover: Prover,
    retry: Retry,
}

impl Connection {
    pub(crate) fn new(origin: Origin, prover: Prover, retry: Retry) -> Result<Self> {
        let client = build_client(&origin)?;
        Ok(Self { client, origin, prover, retry })
    }

    /// A call whose whole answer fits `limit` bytes.
    pub(crate) async fn call(&self, request: &Request, limit: usize) -> Result<Bytes> {
        let mut done = 0;
        loop {
            let outcome = match self.open_once(request).await {
                Ok(response) => read_body(response, limit).await,
                Err(error) => Err(error),
            };
            done += 1;
            match outcome {
                Ok(body) => return Ok(body),
                Err(error) => self.wait_or_fail(request, error, done).await?,
            }
        }
    }

    /// A call whose answer is read by the caller. Repeated only until the answer begins.
    pub(crate) async fn open(&self, request: &Request) -> Result<Response> {
        let mut done = 0;
        loop {
            done += 1;
            match self.open_once(request).await {
                Ok(response) => return Ok(response),
                Err(error) => self.wait_or_fail(request, error, done).await?,
            }
        }
    }

    /// One attempt; `Err` inside is the server's refusal.
    pub(crate) async fn attempt(&self, request: &Request) -> Result<Result<Response, Refusal>> {
        let mut builder = self.client.request(request.method.clone(), request.url.clone());
        if let Some(json) = &request.json {
            builder = builder.header(header::CONTENT_TYPE, "application/json").body(json.clone());
        }
        let token = match &request.proof {
            Proof::None => None,
            Proof::Key => Some(None),
            Proof::Token(token) => Some(Some(token)),
        };
        if let Some(token) = token {
            let proof = self.prover.proof(&request.method, &request.url, token.map(AsRef::as_ref)).await?;
            builder = builder.header("DPoP", proof);
            if let Some(token) = token {
                builder = builder.header(header::AUTHORIZATION, format!("DPoP {token}"));
            }
        }
        let response = builder.send().await.map_err(|cause| transport(&request.url, cause))?;
        self.prover.see(response.headers());
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        if response.status().is_redirection() {
            return Err(redirected(&request.url, &response));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_at_most(response, MAX_REFUSAL_BYTES).await;
        Ok(Err(Refusal::new(status, &headers, &body)))
    }

    /// An attempt, and a second one when the refused proof can be put right.
    async fn open_once(&self, request: &Request) -> Result<Response> {
        let refusal = match self.attempt(request).await? {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        let refusal = match self.prover.second_chance(&refusal) {
            None => refusal,
            Some(wait) => {
                tracing::debug!(url = %request.url, refusal.message, "the proof was refused; trying once more");
                tokio::time::sleep(wait).await;
                match self.attempt(request).await? {
                    Ok(response) => return Ok(response),
                    Err(refusal) => refusal,
                }
            }
        };
        Err(refusal.into_error(&self.origin))
    }

    async fn wait_or_fail(&self, request: &Request, error: Error, done: u32) -> Result<()> {
        let wait = if request.method == Method::GET { self.retry.wait(&error, done) } else { None };
        let Some(wait) = wait else { return Err(error) };
        tracing::debug!(url = %request.url, %error, wait_ms = wait.as_millis(), "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Collects an answer of at most `limit` bytes.
pub(crate) async fn read_body(mut response: Response, limit: usize) -> Result<Bytes> {
    let url = bare(response.url());
    let too_long =
        || Error::protocol(&url, format!("the answer is longer than {limit} bytes; ask for less at a time"));
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|cause| Error::Transport { url: url.clone(), sent: true, cause })?
    {
        if body.len() + chunk.len() > limit {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Collects what there is, up to `limit`: the text of a refusal is worth showing even when it is cut.
async fn read_at_most(mut response: Response, limit: usize) -> Bytes {
    let mut body = BytesMut::new();
    while body.len() < limit {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(limit);
    body.freeze()
}

/// A URL without its query, for messages.
pub(crate) fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

pub(crate) fn transport(url: &Url, cause: reqwest::Error) -> Error {
    let sent = !(cause.is_connect() || cause.is_builder());
    Error::Transport { url: bare(url), sent, cause }
}

fn redirected(url: &Url, response: &Response) -> Error {
    let target =
        response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("elsewhere");
    let problem = format!(
        "it redirects to {}; a signed request cannot follow. Use the service's own URL",
        crate::error::clean(target)
    );
    Error::protocol(bare(url), problem)
}

fn build_client(origin: &Origin) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("rookery-client/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if origin.is_loopback() {
        builder = builder.no_proxy();
    }
    if origin.is_https() {
        // The platform's certificates are checked with the process's provider; one set earlier stays.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    } else {
        // Plain http needs no certificates, and a machine without any must still reach its own localhost.
        builder = builder.tls_backend_preconfigured(no_tls()?);
    }
    builder.build().map_err(|cause| Error::Transport { url: origin.to_string(), sent: false, cause })
}

/// A TLS configuration that trusts nobody.
fn no_tls() -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Key(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests;
