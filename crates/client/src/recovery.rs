//! The recovery key: first among the rotation keys of the agent's DID.
//!
//! Its holder can take the identity to another host without asking this one (did:plc lets a higher rotation key
//! overrule a lower one for 72 hours). So it is made by the client, and the server only ever sees its did:key.

use crate::error::{Error, Result};
use crate::files;
use crate::random;
use rookery_atproto::crypto::{Curve, SecretKey};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// Multicodec `secp256k1-priv` (0x1301) as a varint; atproto tools read secret keys in this form.
const K256_SECRET_PREFIX: [u8; 2] = [0x81, 0x26];

/// A secp256k1 key that stays with the agent.
pub struct RecoveryKey(SecretKey);

impl RecoveryKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self> {
        // All but one in 2^128 draws are in range.
        for _ in 0..4 {
            let mut bytes = Zeroizing::new([0; 32]);
            random::fill(bytes.as_mut())?;
            if let Ok(key) = SecretKey::from_bytes(Curve::K256, &bytes) {
                return Ok(Self(key));
            }
        }
        Err(Error::Key("the random source gives no usable key".into()))
    }

    /// The public half, as the server and the DID document name it.
    pub fn did_key(&self) -> String {
        self.0.public().to_did_key()
    }

    /// The secret key itself, for signing PLC operations.
    pub fn secret(&self) -> &SecretKey {
        &self.0
    }

    /// The secret as a multibase key (`z…`), the form in which other atproto tools take it.
    pub fn to_multibase(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(K256_SECRET_PREFIX.to_vec());
        bytes.extend_from_slice(self.0.to_bytes().as_ref());
        let base58 = Zeroizing::new(bs58::encode(bytes.as_slice()).into_string());
        Zeroizing::new(format!("z{}", *base58))
    }

    /// Reads what [`to_multibase`](Self::to_multibase) wrote.
    pub fn from_multibase(text: &str) -> Result<Self> {
        let refuse = || Error::Key("the recovery key is not a multibase secp256k1 secret key (z…)".into());
        let base58 = text.trim().strip_prefix('z').filter(|rest| rest.len() <= 64).ok_or_else(refuse)?;
        let bytes = bs58::decode(base58).into_vec().map(Zeroizing::new).map_err(|_| refuse())?;
        let secret = bytes.strip_prefix(&K256_SECRET_PREFIX).ok_or_else(refuse)?;
        let secret: &[u8; 32] = secret.try_into().map_err(|_| refuse())?;
        SecretKey::from_bytes(Curve::K256, secret).map(Self).map_err(|_| refuse())
    }

    /// Writes a new file that only its owner may read. One that exists is never overwritten.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = Zeroizing::new(format!("{}\n", *self.to_multibase()));
        files::create_private(path, text.as_bytes())
    }

    /// Reads the file; `None` when there is none.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let Some(text) = files::read_text(path)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        Self::from_multibase(&text).map(Some).map_err(|error| Error::profile(path, error.to_string()))
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecoveryKey").field(&self.did_key()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_recovery_key_is_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recovery.key");
        assert!(RecoveryKey::load(&path).unwrap().is_none());
        let key = RecoveryKey::generate().unwrap();
        key.save(&path).unwrap();
        assert!(key.save(&path).is_err());
        assert_eq!(RecoveryKey::load(&path).unwrap().unwrap().did_key(), key.did_key());
        assert!(key.did_key().starts_with("did:key:zQ3sh"));
    }

    #[test]
    fn what_is_no_secret_key_is_refused_without_being_repeated() {
        for text in ["", "z", "zQ3shhhh", "mAAAA", &"z1".repeat(500)] {
            let message = RecoveryKey::from_multibase(text).unwrap_err().to_string();
            assert!(message.contains("multibase"), "{message}");
        }
    }

    #[test]
    fn debug_output_shows_only_the_public_half() {
        let key = RecoveryKey::generate().unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("did:key:"));
        assert!(!shown.contains(key.to_multibase().as_str()));
    }
}
