//! Keys of agents. One key is one account, so a crowd needs many.

use crate::cores;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rookery_testkit::TestKey;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What agents sign with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Keys {
    /// How agents sign their proofs
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: Algorithm,
    /// Keep RSA keys in this directory and take them from there: making one takes about a second, a thousand take many
    /// minutes, once. Anyone who can read them can act for the accounts of the runs
    #[arg(long = "keys", value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// A signature algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// P-256
    #[default]
    Es256,
    /// Ed25519
    Ed25519,
    /// RSA with 4096 bits
    Rs256,
}

impl Algorithm {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "es256",
            Self::Ed25519 => "ed25519",
            Self::Rs256 => "rs256",
        }
    }

    /// A new key.
    pub(crate) fn key(self) -> TestKey {
        match self {
            Self::Es256 => TestKey::p256(),
            Self::Ed25519 => TestKey::ed25519(),
            Self::Rs256 => TestKey::new_rsa(),
        }
    }
}

impl Keys {
    /// Quick keys that nobody keeps.
    pub(crate) fn es256() -> Self {
        Self { algorithm: Algorithm::Es256, cache: None }
    }

    /// So many keys, each another.
    pub(crate) fn get(&self, count: usize) -> Result<Vec<TestKey>> {
        let cache = self.cache.as_deref().filter(|_| self.algorithm == Algorithm::Rs256);
        if let Some(dir) = cache {
            private_dir(dir)?;
        }
        cores::each("keys", count, |n| match cache {
            Some(dir) => cached(dir, n),
            None => Ok(self.algorithm.key()),
        })
    }
}

/// The RSA key with this number, made when it is not there.
fn cached(dir: &Path, n: usize) -> Result<TestKey> {
    let path = dir.join(format!("{n}.pk8"));
    match fs::read(&path) {
        Ok(document) => {
            TestKey::rsa_from_pkcs8(&document).with_context(|| format!("{} is no RSA key", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = TestKey::new_rsa();
            let document = key.rsa_to_pkcs8().context("an RSA key has no document")?;
            // Only its owner may read a temporary file, and a run that is stopped leaves no half a key.
            let mut file = NamedTempFile::new_in(dir)?;
            file.write_all(&document)?;
            file.persist(&path).with_context(|| format!("cannot keep {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn private_dir(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir).with_context(|| format!("cannot make {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rsa_keys_are_made_once_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("keys");
        let keys = Keys { algorithm: Algorithm::Rs256, cache: Some(cache.clone()) };
        let made = keys.get(1).unwrap()[0].thumbprint();
        assert_eq!(keys.get(1).unwrap()[0].thumbprint(), made);
        #[cfg(unix)]
        for (path, mode) in [(cache.join("0.pk8"), 0o600), (cache.clone(), 0o700)] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        fs::write(cache.join("0.pk8"), b"no key").unwrap();
        assert!(keys.get(1).is_err());
    }
}
