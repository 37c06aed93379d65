//! Variables and secrets of the Worker, as the core's configuration. Their names are those of the native host.

use crate::plc;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::Did;
use rookery_auth::origin::Origins;
use rookery_pds::config::{
    BlobRules, Config, PlcChoice, ProofMemory, Rate, RateLimits, Relays, Retention, RotationKey,
};
use rookery_pds::terms::{BUILT_IN, Terms};
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;
use worker::{Env, Url};
use zeroize::Zeroizing;

const PUBLIC_PLC: &str = "https://plc.directory";
const HOUR: Duration = Duration::from_secs(3_600);
/// Longer terms than this are no terms.
const TERMS: usize = 256 * 1024;

/// What the operator decided.
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// True when the directory of DIDs is an object of this Worker.
    pub(crate) own_plc: bool,
    pub(crate) terms: Arc<Terms>,
    pub(crate) log: Level,
    /// True when addresses have limits.
    pub(crate) limited: bool,
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
        let limited = is_on("ROOKERY_RATE_LIMITS", true)?;
        Ok(Self {
            config: config(&host, &var, own_plc, limited)?,
            own_plc,
            terms: Arc::new(Terms::new(terms(var("ROOKERY_TERMS"))?)),
            log: var("ROOKERY_LOG")
                .map_or(Ok(Level::INFO), |text| text.parse())
                .map_err(|_| "ROOKERY_LOG is one of error, warn, info, debug and trace".to_owned())?,
            limited,
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
    limited: bool,
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
        retention: Retention { age: 72 * HOUR, events: 2_000_000 },
        relays: Relays { origins: relays(var("ROOKERY_RELAY_HOSTS"))?, account_cap: 100 },
        blobs: BlobRules { limit: 60 * 1024 * 1024, grace: 6 * HOUR },
        // An object is woken by the very request that it must not refuse for being older than its start.
        proofs: ProofMemory::Store,
        rates: if limited { rates() } else { RateLimits::default() },
        local: matches!(host, Host::Local(_)),
    })
}

/// Origins, or bare hosts, separated by commas.
fn relays(text: Option<String>) -> Result<Vec<String>, String> {
    let text = text.unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let text = if word.contains("://") { word.to_owned() } else { format!("https://{word}") };
            base("ROOKERY_RELAY_HOSTS", &text)
        })
        .collect()
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

/// The native host's defaults. Here they are counted in each object by itself.
fn rates() -> RateLimits {
    let rate = |points, window| Rate { points, window };
    let five_minutes = HOUR / 12;
    RateLimits {
        writes: vec![rate(5_000, HOUR), rate(35_000, 24 * HOUR)],
        uploads: vec![rate(1_000, 24 * HOUR)],
        reads: vec![rate(3_000, five_minutes)],
        exports: vec![rate(6_000, five_minutes)],
        signups: vec![rate(100, five_minutes)],
        failures: vec![rate(300, five_minutes)],
    }
}
