//! Requests to other origins: bounded in time and size, no redirects, no proxies.
//!
//! Two clients: one for origins that the operator named, one that reaches only public addresses on the usual ports.
//! Clients and the DNS resolver are made when they are first needed; most installations on a laptop never need them.

mod dns;
mod public;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use public::{NotPublic, PublicOnly, is_public};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, Url};
use rookery_pds::ports::{HttpRequest, HttpResponse, Method, Net, NetError};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;

const USER_AGENT: &str = concat!("rookery/", env!("CARGO_PKG_VERSION"));
/// Connections to origins are kept this long after use.
const IDLE: Duration = Duration::from_secs(20);

/// The outside world, through the operating system's sockets and resolver.
#[derive(Default)]
pub(crate) struct SystemNet {
    trusted: OnceCell<Client>,
    untrusted: OnceCell<Client>,
    dns: dns::Dns,
}

impl Net for SystemNet {
    fn fetch(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, NetError>> {
        async move {
            let url = parse(&request.url)?;
            let origin = url.origin().ascii_serialization();
            if !request.trusted && !may_ask(&url) {
                return Err(NetError::Forbidden(origin));
            }
            let client = self.client(request.trusted).await;
            let client = client.map_err(|error| unreachable(&origin, &error))?;
            match timeout(request.timeout, send(client, url, &origin, &request)).await {
                Ok(answer) => answer,
                Err(_) => Err(NetError::Timeout(origin)),
            }
        }
        .boxed()
    }

    fn txt(&self, name: String) -> BoxFuture<'_, Result<Vec<String>, NetError>> {
        self.dns.txt(name).boxed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

impl SystemNet {
    async fn client(&self, trusted: bool) -> Result<&Client, reqwest::Error> {
        if trusted {
            self.trusted.get_or_try_init(|| async { builder().build() }).await
        } else {
            self.untrusted.get_or_try_init(|| async { builder().dns_resolver(PublicOnly).build() }).await
        }
    }
}

/// Clients of this server: no redirects, no proxies.
pub(crate) fn builder() -> ClientBuilder {
    // Fails when there is one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .no_proxy()
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(4)
}

/// For plain http: it needs no certificates, and a machine that has none must still reach its own loopback.
pub(crate) fn no_tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn parse(text: &str) -> Result<Url, NetError> {
    let refuse = || NetError::Forbidden(text.chars().take(200).collect());
    let url = Url::parse(text).map_err(|_| refuse())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(refuse()) }
}

/// What can be seen from the URL; the addresses of names are checked when they are resolved.
fn may_ask(url: &Url) -> bool {
    let usual_port = matches!(url.port_or_known_default(), Some(80 | 443));
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let public = literal.map_or(url.domain().is_some(), is_public);
    usual_port && public && url.username().is_empty() && url.password().is_none()
}

async fn send(
    client: &Client,
    url: Url,
    origin: &str,
    request: &HttpRequest,
) -> Result<HttpResponse, NetError> {
    let sent = match request.method {
        Method::Get => client.get(url),
        Method::Post => client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(request.body.clone().unwrap_or_default()),
    };
    let response = sent.send().await.map_err(|error| unreachable(origin, &error))?;
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = collect(response, origin, request.max_response).await?;
    Ok(HttpResponse { status, retry_after, body })
}

async fn collect(mut response: Response, origin: &str, most: usize) -> Result<Bytes, NetError> {
    let too_long = || NetError::TooLong(origin.to_owned());
    let promised = usize::try_from(response.content_length().unwrap_or(0)).map_err(|_| too_long())?;
    if promised > most {
        return Err(too_long());
    }
    let mut body = BytesMut::with_capacity(promised);
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(origin, &error))? {
        if chunk.len() > most - body.len() {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost cause says most: "connection refused" rather than "error sending request".
fn unreachable(origin: &str, error: &reqwest::Error) -> NetError {
    let mut cause: &dyn Error = error;
    loop {
        if cause.is::<NotPublic>() {
            return NetError::Forbidden(origin.to_owned());
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => return NetError::Unreachable(origin.to_owned(), cause.to_string()),
        }
    }
}
