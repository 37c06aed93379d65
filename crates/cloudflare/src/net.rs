//! Other origins, through `fetch`, and TXT records, by DNS over HTTPS.
//!
//! What a stranger can steer goes to names on the usual ports only. The platform resolves them, and routes to the public
//! internet and nowhere else.

use crate::plc;
use crate::settings::Settings;
use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, Either, FutureExt, select};
use futures_util::{StreamExt, pin_mut};
use rookery_pds::ports::{HttpRequest, HttpResponse, Method, Net, NetError};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;
use worker::send::SendFuture;
use worker::wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, Env, Fetch, Headers, Request, RequestInit, RequestRedirect, Url, web_sys,
};

const USER_AGENT: &str = concat!("rookery/", env!("CARGO_PKG_VERSION"));
/// The platform's own resolver, and how it speaks JSON.
const RESOLVER: &str = "https://cloudflare-dns.com/dns-query";
const DNS_JSON: &str = "application/dns-json";
/// Whole time of a lookup.
const LOOKUP: Duration = Duration::from_secs(5);
/// The longest answer to one, in bytes.
const RECORDS: usize = 64 * 1024;
/// Of the DNS: the type TXT, and the answers "no error" and "no such name".
const TXT: u64 = 16;
const NO_ERROR: u64 = 0;
const NO_SUCH_NAME: u64 = 3;

/// The outside world, and the directory of DIDs where the Worker has its own.
pub(crate) struct FetchNet {
    env: Env,
    /// The Worker's own origin, where that is the directory's. A Worker cannot ask itself through the network.
    plc: Option<String>,
}

impl FetchNet {
    pub(crate) fn new(env: &Env, settings: &Settings) -> Self {
        let plc = settings.own_plc.then(|| settings.config.public_url.clone());
        Self { env: env.clone(), plc }
    }
}

impl Net for FetchNet {
    fn fetch(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, NetError>> {
        SendFuture::new(async move {
            let url = parse(&request.url)?;
            if !request.trusted && !may_ask(&url) {
                return Err(NetError::Forbidden(url.origin().ascii_serialization()));
            }
            let accept = request.body.as_ref().map_or("*/*", |_| "application/json");
            self.ask(&url, &request, accept).await
        })
        .boxed()
    }

    fn txt(&self, name: String) -> BoxFuture<'_, Result<Vec<String>, NetError>> {
        SendFuture::new(async move {
            let mut url = parse(RESOLVER)?;
            url.query_pairs_mut().append_pair("name", &name).append_pair("type", "TXT");
            let request = HttpRequest {
                method: Method::Get,
                url: String::new(),
                body: None,
                timeout: LOOKUP,
                max_response: RECORDS,
                trusted: true,
            };
            let answer = self.ask(&url, &request, DNS_JSON).await?;
            records(&answer).map_err(|problem| NetError::Unreachable(name, problem))
        })
        .boxed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        SendFuture::new(Delay::from(duration)).boxed()
    }
}

fn parse(text: &str) -> Result<Url, NetError> {
    let refuse = || NetError::Forbidden(text.chars().take(200).collect());
    let url = Url::parse(text).map_err(|_| refuse())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(refuse()) }
}

fn may_ask(url: &Url) -> bool {
    let usual_port = matches!(url.port_or_known_default(), Some(80 | 443));
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    usual_port && !literal && host != "localhost" && url.username().is_empty() && url.password().is_none()
}

impl FetchNet {
    /// Sends `request` to `url`, and gives it up when its time is over.
    async fn ask(&self, url: &Url, request: &HttpRequest, accept: &str) -> Result<HttpResponse, NetError> {
        let origin = url.origin().ascii_serialization();
        let abort = AbortController::default();
        let signal = abort.signal();
        let sent = async {
            let sent = match prepare(url, request, accept) {
                Ok(sent) if request.trusted && self.plc.as_ref() == Some(&origin) => self.ask_plc(sent).await,
                Ok(sent) => Fetch::Request(sent).send_with_signal(&signal).await,
                Err(error) => Err(error),
            };
            let response = sent.map_err(|error| NetError::Unreachable(origin.clone(), error.to_string()))?;
            collect(response, &origin, request.max_response).await
        };
        pin_mut!(sent);
        let answer = match select(sent, Delay::from(request.timeout)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(NetError::Timeout(origin.clone())),
        };
        if answer.is_err() {
            abort.abort();
        }
        answer
    }

    async fn ask_plc(&self, request: Request) -> worker::Result<worker::Response> {
        plc::stub(&self.env)?.fetch_with_request(request).await
    }
}

fn prepare(url: &Url, request: &HttpRequest, accept: &str) -> worker::Result<Request> {
    let headers = Headers::new();
    headers.set("user-agent", USER_AGENT)?;
    headers.set("accept", accept)?;
    let mut init = RequestInit::new();
    if request.method == Method::Post {
        headers.set("content-type", "application/json")?;
        let body = request.body.as_deref().unwrap_or_default();
        init.with_method(worker::Method::Post);
        init.with_body(Some(JsValue::from(worker::js_sys::Uint8Array::from(body))));
    }
    init.with_headers(headers).with_redirect(RequestRedirect::Manual);
    Request::new_with_init(url.as_str(), &init)
}

async fn collect(response: worker::Response, origin: &str, most: usize) -> Result<HttpResponse, NetError> {
    let status = response.status_code();
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok());
    let mut body = BytesMut::new();
    if let Some(stream) = web_sys::Response::from(response).body() {
        let mut chunks = worker::Body::new(stream);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| NetError::Unreachable(origin.to_owned(), error.to_string()))?;
            if chunk.len() > most - body.len() {
                return Err(NetError::TooLong(origin.to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
    }
    Ok(HttpResponse { status, retry_after, body: Bytes::from(body) })
}

/// The texts in an answer of the resolver.
fn records(answer: &HttpResponse) -> Result<Vec<String>, String> {
    let unread = || format!("the resolver answered with status {} and what is no answer", answer.status);
    let json: Value = serde_json::from_slice(&answer.body).map_err(|_| unread())?;
    match json.get("Status").and_then(Value::as_u64) {
        Some(NO_SUCH_NAME) => return Ok(Vec::new()),
        Some(NO_ERROR) => {}
        Some(code) => return Err(format!("the resolver answered with code {code}")),
        None => return Err(unread()),
    }
    let answers = json.get("Answer").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_text = |record: &&Value| record.get("type").and_then(Value::as_u64) == Some(TXT);
    let texts = answers.iter().filter(is_text).filter_map(|record| record.get("data")?.as_str());
    Ok(texts.map(joined).collect())
}

/// One text from its strings, which are quoted where they come as the DNS has them: `"did=did:plc:" "abc"`.
fn joined(data: &str) -> String {
    if !data.starts_with('"') {
        return data.to_owned();
    }
    let (mut text, mut quoted, mut escaped) = (String::new(), false, false);
    for character in data.chars() {
        match character {
            _ if escaped => {
                text.push(character);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => text.push(character),
            _ => {}
        }
    }
    text
}
