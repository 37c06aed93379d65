//! The agent's key: the account belongs to whoever holds it.
//!
//! RS256 with RSA-4096 is what every WelcomeMat service takes. ES256 and EdDSA make keys a thousand times
//! faster and sign a hundred times cheaper, where the service's welcome.md lists them. A key is used with one algorithm only.

mod material;
mod mint;
mod pem;

use crate::error::{Error, Result};
use crate::files;
use material::Material;
use rookery_auth::jwk::PublicJwk;
pub use rookery_auth::jwk::Thumbprint;
pub use rookery_auth::jws::Alg;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key pair. Clones share it.
#[derive(Clone)]
pub struct AgentKey(Arc<Inner>);

struct Inner {
    material: Material,
    jwk: PublicJwk,
    thumbprint: Thumbprint,
}

impl AgentKey {
    /// Makes a new key on a thread of its own: RSA-4096 takes seconds.
    pub async fn generate(alg: Alg) -> Result<Self> {
        blocking(move || Self::generate_blocking(alg)).await
    }

    /// Makes a new key on this thread.
    pub fn generate_blocking(alg: Alg) -> Result<Self> {
        Self::from_material(Material::generate(alg)?)
    }

    /// Reads a PKCS#8 key: RSA of 4096 to 8192 bits, P-256 or Ed25519.
    pub fn from_pem(pem: &str) -> Result<Self> {
        Self::from_material(Material::from_pkcs8(&pem::decode(pem)?)?)
    }

    /// Writes the key as PKCS#8, as openssl reads it.
    pub fn to_pem(&self) -> Result<Zeroizing<String>> {
        Ok(pem::encode(&self.0.material.to_pkcs8()?))
    }

    /// Writes a new file that only its owner may read. One that exists is never overwritten.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::create_private(path, self.to_pem()?.as_bytes())
    }

    /// Reads the file; `None` when there is none.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let Some(pem) = files::read_text(path)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        Self::from_pem(&pem).map(Some).map_err(|error| Error::profile(path, error.to_string()))
    }

    /// The one algorithm that this key signs with.
    pub fn alg(&self) -> Alg {
        self.0.jwk.alg()
    }

    /// The public half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.0.jwk
    }

    /// RFC 7638 SHA-256 thumbprint: what the service knows the agent by.
    pub fn thumbprint(&self) -> Thumbprint {
        self.0.thumbprint
    }

    fn from_material(material: Material) -> Result<Self> {
        let jwk = material.public_jwk()?;
        let thumbprint = jwk.thumbprint();
        Ok(Self(Arc::new(Inner { material, jwk, thumbprint })))
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentKey").field("alg", &self.alg()).field("thumbprint", &self.0.thumbprint).finish()
    }
}

/// Runs work that may take long where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Key(format!("signing was interrupted: {error}")))?
}

#[cfg(test)]
mod tests;
