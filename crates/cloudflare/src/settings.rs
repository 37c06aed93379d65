//! Variables and secrets of the Worker, as the core's configuration. Their names are those of the native host.

use crate::plc;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::Did;
use rookery_auth::origin::Origins;
use rookery_pds::config::given::{self, Rates};
use rookery_pds::config::networks::Networks;
use rookery_pds::config::units::Unusable;
use rookery_pds::config::{Config, PlcChoice, ProofMemory, RateLimits, Relays, RotationKey};
use rookery_pds::terms::{BUILT_IN, Terms};
use std::sync::Arc;
use tracing::Level;
use worker::{Env, Url};
use zeroize::Zeroizing;

const PUBLIC_PLC: &str = "https://plc.directory";
/// Longer terms than this are no terms.
const TERMS: usize = 256 * 1024;

/// What the operator decided.
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// True when the directory of DIDs is an object of this Worker.
    pub(crate) own_plc: bool,
    pub(crate) terms: Arc<Terms>,
    pub(crate) log: Level,
    /// Addresses without limits; none when no address has any.
    pub(crate) exempt: Option<Networks>,
    /// True when answers tell what they have cost, for tests and measurements.
    pub(crate) counters: bool,
}

impl Settings {
    /// Reads them. The error is for the operator.
    pub(crate) fn read(env: &Env) -> Result<Self, String> {
        let var = |name: &str| {
            let text = env.var(name).ok()?.to_string();
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let is_on = |name: &str, default: bool| match var(name).as_deref() {
            None => Ok(default),
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(other) => Err(format!("{name} is on or off, not {other}")),
        };
        let host = Host::parse(
            &var("ROOKERY_HOSTNAME").ok_or("ROOKERY_HOSTNAME is missing: the public host name")?,
        )?;
        let own_plc =
            matches!(host, Host::Local(_)) && var("ROOKERY_PLC_URL").is_none() && plc::is_bound(env);
        let (limited, rates) = rates(&var).map_err(|error| error.to_string())?;
        let exempt = var("ROOKERY_RATE_EXEMPT").unwrap_or_default();
        let exempt =
            Networks::parse(&exempt, "an address without limits").map_err(|error| error.to_string())?;
        Ok(Self {
            config: config(&host, &var, own_plc, rates)?,
            own_plc,
            terms: Arc::new(Terms::new(terms(var("ROOKERY_TERMS"))?)),
            log: var("ROOKERY_LOG")
                .map_or(Ok(Level::INFO), |text| text.parse())
                .map_err(|_| "ROOKERY_LOG is one of error, warn, info, debug and trace".to_owned())?,
            exempt: limited.then_some(exempt),
            counters: is_on("ROOKERY_COUNTERS", false)?,
        })
    }
}

/// The key that private keys are sealed under: 64 hexadecimal digits or 43 characters of base64url.
pub(crate) fn master_key(env: &Env) -> Result<Zeroizing<[u8; 32]>, String> {
    let form = "ROOKERY_MASTER_KEY must be a secret of 32 bytes, as 64 hexadecimal digits or as base64url; make one with: \
                openssl rand -hex 32";
    let text = Zeroizing::new(env.secret("ROOKERY_MASTER_KEY").map_err(|_| form)?.to_string());
    let text = text.trim();
    let bytes = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        _ => BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok(),
    };
    let bytes = bytes.map(Zeroizing::new).filter(|bytes| bytes.len() == 32).ok_or(form)?;
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&bytes);
    Ok(key)
}

/// Who the server is to others.
enum Host {
    /// This machine only, on a port, without TLS.
    Local(u16),
    /// A name in the public DNS.
    Public(String),
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let (host, port) = name.split_once(':').unwrap_or((&name, "8787"));
        if matches!(host, "localhost" | "127.0.0.1") {
            let port =
                port.parse().map_err(|_| format!("ROOKERY_HOSTNAME {text} has no port that is one"))?;
            return Ok(Self::Local(port));
        }
        let url = Url::parse(&format!("https://{name}/"));
        let is_name = url.is_ok_and(|url| url.domain() == Some(&name) && name.contains('.'));
        if is_name {
            return Ok(Self::Public(name));
        }
        Err(format!("ROOKERY_HOSTNAME {text} is not a bare name such as pds.example.com, nor localhost:8787"))
    }
}

fn config(
    host: &Host,
    var: &impl Fn(&str) -> Option<String>,
    own_plc: bool,
    rates: RateLimits,
) -> Result<Config, String> {
    let (origins, service_did, handle_domain) = match host {
        Host::Local(port) => (
            ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("http://{name}:{port}")).to_vec(),
            format!("did:web:localhost%3A{port}"),
            ".test".to_owned(),
        ),
        Host::Public(name) => {
            (vec![format!("https://{name}")], format!("did:web:{name}"), format!(".{name}"))
        }
    };
    let unusable = |error: Unusable| error.to_string();
    let (age, events) = (var("ROOKERY_EVENT_RETENTION"), var("ROOKERY_EVENT_LIMIT"));
    let (limit, grace) = (var("ROOKERY_BLOB_LIMIT"), var("ROOKERY_BLOB_GRACE"));
    let account_cap = given::account_cap(var("ROOKERY_RELAY_ACCOUNT_CAP").as_deref()).map_err(unusable)?;
    let handle_domain = var("ROOKERY_HANDLE_DOMAIN").unwrap_or(handle_domain);
    let public_url = origins.first().cloned().unwrap_or_default();
    let names: Vec<&str> = origins.iter().map(String::as_str).collect();
    let plc = match (var("ROOKERY_PLC_URL"), host) {
        (Some(url), _) => base("ROOKERY_PLC_URL", &url)?,
        (None, Host::Public(_)) => PUBLIC_PLC.to_owned(),
        (None, Host::Local(_)) if own_plc => public_url.clone(),
        (None, Host::Local(_)) => {
            return Err("ROOKERY_PLC_URL is missing, and no object is bound as PLC".to_owned());
        }
    };
    Ok(Config {
        origins: Origins::new(&names).map_err(|error| error.to_string())?,
        public_url,
        service_did: Did::parse(&service_did).map_err(|error| error.to_string())?,
        handle_domain: HandleDomain::new(&handle_domain)
            .map_err(|error| format!("ROOKERY_HANDLE_DOMAIN {handle_domain} cannot be used: {error}"))?,
        plc: PlcChoice::Url(plc),
        // The same in every object.
        rotation_key: RotationKey::Derived,
        retention: given::retention(age.as_deref(), events.as_deref()).map_err(unusable)?,
        relays: Relays { origins: relays(var("ROOKERY_RELAY_HOSTS"), host)?, account_cap },
        blobs: given::blobs(limit.as_deref(), grace.as_deref()).map_err(unusable)?,
        // An object is woken by the very request that it must not refuse for being older than its start.
        proofs: ProofMemory::Store,
        rates,
        local: matches!(host, Host::Local(_)),
    })
}

/// Whether there are limits, and which. They are counted in each object, and in each isolate, by itself.
fn rates(var: &impl Fn(&str) -> Option<String>) -> Result<(bool, RateLimits), Unusable> {
    let names = ["LIMITS", "WRITES", "UPLOADS", "READS", "EXPORTS", "SIGNUPS", "FAILURES"];
    let words = names.map(|name| var(&format!("ROOKERY_RATE_{name}")));
    let [limits, writes, uploads, reads, exports, signups, failures] = words.each_ref().map(Option::as_deref);
    let rates = Rates { limits, writes, uploads, reads, exports, signups, failures };
    Ok((rates.are_on()?, rates.read()?))
}

/// Origins, or bare hosts, separated by commas. A relay cannot reach a server on localhost unless it runs on the same machine.
fn relays(text: Option<String>, host: &Host) -> Result<Vec<String>, String> {
    let text = text.unwrap_or_default();
    let mut origins = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let text = if word.contains("://") { word.to_owned() } else { format!("https://{word}") };
        let origin = base("ROOKERY_RELAY_HOSTS", &text)?;
        let url = Url::parse(&origin).ok().filter(|url| url.path() == "/");
        let url =
            url.ok_or_else(|| format!("ROOKERY_RELAY_HOSTS has {word}, which is more than an origin"))?;
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if matches!(host, Host::Local(_)) && !is_here {
            return Err(format!("the relay {word} cannot reach a server on localhost"));
        }
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

/// A URL that others can be put behind, without a slash at its end.
fn base(name: &str, text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let url = url.ok_or_else(|| format!("{name} has {text}, which is no URL such as https://example.com"))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn terms(given: Option<String>) -> Result<String, String> {
    let text = given.unwrap_or_else(|| BUILT_IN.to_owned());
    if text.len() > TERMS { Err(format!("ROOKERY_TERMS is longer than {TERMS} bytes")) } else { Ok(text) }
}
