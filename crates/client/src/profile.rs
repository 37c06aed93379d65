//! Agents on disk.
//!
//! ```text
//! $ROOKERY_HOME            default $XDG_CONFIG_HOME/rookery or ~/.config/rookery
//!   current                name of the profile used when none is named
//!   agents/NAME/           0700
//!     key.pem              0600, the agent's key, PKCS#8
//!     recovery.key         0600, the recovery key, absent when there is none
//!     profile.json         0600, what enrollment gave: URL, DID, handle, access token
//! ```
//!
//! Keys are written first and never overwritten: when enrollment fails half-way, the next try uses the same key and gets the
//! same account. `profile.json` exists once enrollment has succeeded.

use crate::error::{Error, Result};
use crate::files;
use crate::keys::AgentKey;
use crate::recovery::RecoveryKey;
use rookery_atproto::syntax::{Did, Handle};
use serde::{Deserialize, Serialize};
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

const MAX_NAME: usize = 64;

/// What enrollment gave an agent; everything but its keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Origin of the service.
    pub url: String,
    /// The account.
    pub did: Did,
    /// The account's handle.
    pub handle: Handle,
    /// Works only together with the key.
    pub access_token: String,
    /// JOSE name of the key's algorithm.
    pub alg: String,
    /// The public half of the recovery key that was sent at enrollment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("url", &self.url).field("did", &self.did).finish_non_exhaustive()
    }
}

/// All profiles of this user.
#[derive(Clone, Debug)]
pub struct ProfileStore {
    home: PathBuf,
}

impl ProfileStore {
    /// The store at `$ROOKERY_HOME`, else under the user's configuration directory.
    pub fn open() -> Result<Self> {
        let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = named("ROOKERY_HOME")
            .or_else(|| {
                named("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).map(|path| path.join("rookery"))
            })
            .or_else(|| env::home_dir().map(|home| home.join(".config").join("rookery")));
        home.map(Self::at).ok_or_else(|| {
            Error::profile("ROOKERY_HOME", "there is no home directory; set ROOKERY_HOME to a directory")
        })
    }

    /// The store in a directory, which need not exist yet.
    pub fn at(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    /// The profile called `name`, which need not exist yet.
    pub fn profile(&self, name: &str) -> Result<ProfileDir> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Error::profile(
                crate::error::clean(name),
                "a profile's name has 1 to 64 letters, digits, '-', '_' or '.', and no '.' in front",
            ));
        }
        Ok(ProfileDir { name: name.to_owned(), path: self.home.join("agents").join(name) })
    }

    /// The profile that was enrolled or chosen last.
    pub fn current(&self) -> Result<ProfileDir> {
        let path = self.home.join("current");
        let name = files::read_text(&path)?.ok_or_else(|| {
            Error::profile(&path, "no agent is enrolled yet; run `rookery agent enroll URL HANDLE`")
        })?;
        self.profile(name.trim())
    }

    /// Makes `name` the profile that is used when none is named.
    pub fn set_current(&self, name: &str) -> Result<()> {
        self.profile(name)?;
        files::create_private_dir(&self.home)?;
        files::replace_private(&self.home.join("current"), format!("{name}\n").as_bytes())
    }
}

/// One profile's directory.
#[derive(Clone, Debug)]
pub struct ProfileDir {
    name: String,
    path: PathBuf,
}

impl ProfileDir {
    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What enrollment gave; `None` before it has succeeded.
    pub fn load(&self) -> Result<Option<Profile>> {
        let path = self.path.join("profile.json");
        let Some(text) = files::read_text(&path)? else {
            return Ok(None);
        };
        let parsed = serde_json::from_str(&text);
        parsed.map(Some).map_err(|error| {
            Error::profile(
                &path,
                format!("damaged ({error}); remove this file and enroll again: the key stays"),
            )
        })
    }

    /// Keeps what enrollment gave.
    pub fn save(&self, profile: &Profile) -> Result<()> {
        files::create_private_dir(&self.path)?;
        let path = self.path.join("profile.json");
        let mut json =
            serde_json::to_vec_pretty(profile).map_err(|error| Error::profile(&path, error.to_string()))?;
        json.push(b'\n');
        files::replace_private(&path, &json)
    }

    /// The agent's key; `None` before there is one.
    pub fn load_key(&self) -> Result<Option<AgentKey>> {
        AgentKey::load(&self.path.join("key.pem"))
    }

    /// Keeps the agent's key. One that is there already is never overwritten.
    pub fn save_key(&self, key: &AgentKey) -> Result<()> {
        files::create_private_dir(&self.path)?;
        key.save(&self.path.join("key.pem"))
    }

    /// The recovery key; `None` when there is none.
    pub fn load_recovery_key(&self) -> Result<Option<RecoveryKey>> {
        RecoveryKey::load(&self.path.join("recovery.key"))
    }

    /// Keeps the recovery key. One that is there already is never overwritten.
    pub fn save_recovery_key(&self, key: &RecoveryKey) -> Result<()> {
        files::create_private_dir(&self.path)?;
        key.save(&self.path.join("recovery.key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            url: "http://localhost:2583".into(),
            did: Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap(),
            handle: Handle::parse("alice.test").unwrap(),
            access_token: "secret-token".into(),
            alg: "RS256".into(),
            recovery_key: None,
        }
    }

    #[test]
    fn a_saved_profile_is_found_again_as_current() {
        let dir = tempfile::tempdir().unwrap();
        let store = ProfileStore::at(dir.path());
        assert!(store.current().unwrap_err().to_string().contains("rookery agent enroll"));
        let alice = store.profile("alice").unwrap();
        assert_eq!(alice.load().unwrap(), None);
        alice.save(&profile()).unwrap();
        store.set_current("alice").unwrap();
        assert_eq!(store.current().unwrap().load().unwrap(), Some(profile()));
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let store = ProfileStore::at("/nowhere");
        for name in ["", ".", "..", "a/b", "../a", "a\\b", "\u{1b}", &"x".repeat(65)] {
            assert!(store.profile(name).is_err(), "{name}");
        }
        assert!(store.profile("alice.2-b_c").is_ok());
    }

    #[test]
    fn debug_output_hides_the_token() {
        assert!(!format!("{:?}", profile()).contains("secret-token"));
    }

    #[test]
    fn a_damaged_profile_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let alice = ProfileStore::at(dir.path()).profile("alice").unwrap();
        alice.save(&profile()).unwrap();
        std::fs::write(alice.path().join("profile.json"), "{").unwrap();
        assert!(alice.load().unwrap_err().to_string().contains("enroll again"));
    }
}
