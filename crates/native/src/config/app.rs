//! The core's configuration, out of the settings and the port.

use super::{Host, LOCAL, Settings, is_base};
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::Did;
use rookery_auth::origin::Origins;
use rookery_pds::config::{Config, PlcChoice, ProofMemory, RotationKey};

const PUBLIC_PLC: &str = "https://plc.directory";

impl Settings {
    /// The configuration of a server that listens on `port`.
    pub(crate) fn core(&self, port: u16) -> Result<Config> {
        let (origins, service_did, handle_domain) = match &self.host {
            Host::Local => (
                ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("http://{name}:{port}")).to_vec(),
                format!("did:web:{LOCAL}%3A{port}"),
                ".test".to_owned(),
            ),
            Host::Public(name) => {
                (vec![format!("https://{name}")], format!("did:web:{name}"), format!(".{name}"))
            }
        };
        let handle_domain = self.handle_domain.as_ref().unwrap_or(&handle_domain);
        let public_url = origins.first().cloned().unwrap_or_default();
        let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
        Ok(Config {
            origins: Origins::new(&origins)?,
            public_url,
            service_did: Did::parse(&service_did)?,
            handle_domain: HandleDomain::new(handle_domain.trim())
                .with_context(|| format!("the handle domain {handle_domain} cannot be used"))?,
            plc: self.plc()?,
            rotation_key: RotationKey::Stored,
            retention: self.retention,
            relays: self.relays.clone(),
            blobs: self.blobs,
            proofs: ProofMemory::Process,
            rates: self.rates.clone(),
            local: self.host == Host::Local,
        })
    }

    /// A public name never gets the embedded directory: nobody else would know its identities.
    fn plc(&self) -> Result<PlcChoice> {
        let Some(text) = &self.plc_url else {
            return Ok(match self.host {
                Host::Local => PlcChoice::Embedded,
                Host::Public(_) => PlcChoice::Url(PUBLIC_PLC.to_owned()),
            });
        };
        let form = "expected a URL such as https://plc.directory";
        let url = Url::parse(text.trim())
            .with_context(|| format!("the PLC directory {text} cannot be used: {form}"))?;
        ensure!(is_base(&url), "the PLC directory {text} cannot be used: {form}");
        Ok(PlcChoice::Url(url.as_str().trim_end_matches('/').to_owned()))
    }
}
