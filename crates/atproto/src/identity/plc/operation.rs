//! Operations: what they hold, how they are made and checked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::PlcError;
use crate::crypto::{PublicKey, SecretKey};
use crate::data::cid::Cid;
use crate::syntax::{Did, Handle};

/// The name of an account's repository signing key among the verification methods.
pub(super) const ATPROTO_KEY: &str = "atproto";
/// The name of an account's host among the services.
pub(super) const ATPROTO_PDS: &str = "atproto_pds";
/// The type of that service.
pub(super) const ATPROTO_PDS_TYPE: &str = "AtprotoPersonalDataServer";

/// A signed operation of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What is signed.
    pub content: Content,
    /// The signature as base64url. Kept as text: the CID hashes the text, so that another spelling is another operation.
    pub sig: String,
}

/// The kinds of operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// `plc_operation`: sets the whole state of the identity.
    Plc(UnsignedOperation),
    /// `plc_tombstone`: ends the identity.
    Tombstone(UnsignedTombstone),
    /// `create`: the genesis of the earliest identities; only read, never written.
    LegacyCreate(LegacyCreate),
}

/// The state of an identity and the operation it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedOperation {
    /// did:keys that may sign the next operation, the most powerful first.
    pub rotation_keys: Vec<String>,
    /// did:keys by name; `atproto` signs the repository.
    pub verification_methods: BTreeMap<String, String>,
    /// URIs; the first `at://` one is the handle.
    pub also_known_as: Vec<String>,
    /// Services by name; `atproto_pds` is the account's host.
    pub services: BTreeMap<String, Service>,
    /// The operation before this one; none in a genesis.
    pub prev: Option<Cid>,
}

/// A service of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What it is, such as `AtprotoPersonalDataServer`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Where it is, usually a URL.
    pub endpoint: String,
}

/// The end of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedTombstone {
    /// The operation before this one.
    pub prev: Cid,
}

/// The fields of a `create` operation. Its `prev` is always null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyCreate {
    /// The did:key that signs the repository and may sign operations.
    pub signing_key: String,
    /// The did:key with the most power.
    pub recovery_key: String,
    /// The handle, without `at://`.
    pub handle: String,
    /// The host, usually a URL.
    pub service: String,
}

impl UnsignedOperation {
    /// The genesis of an account: its key, handle and host.
    pub fn atproto_genesis(
        signing_key: &PublicKey,
        handle: &Handle,
        pds_endpoint: &str,
        rotation_keys: Vec<String>,
    ) -> UnsignedOperation {
        let pds = Service { type_: ATPROTO_PDS_TYPE.to_owned(), endpoint: pds_endpoint.to_owned() };
        UnsignedOperation {
            rotation_keys,
            verification_methods: BTreeMap::from([(ATPROTO_KEY.to_owned(), signing_key.to_did_key())]),
            also_known_as: vec![format!("at://{handle}")],
            services: BTreeMap::from([(ATPROTO_PDS.to_owned(), pds)]),
            prev: None,
        }
    }

    /// The same state as `last` left, to be changed and signed as the next operation; none after a tombstone.
    pub fn following(last: &Operation) -> Option<UnsignedOperation> {
        let mut next = last.normalized()?.into_owned();
        next.prev = Some(last.cid());
        Some(next)
    }

    /// Signs with one of the rotation keys of the operation before (of this one, for a genesis).
    pub fn sign(self, key: &SecretKey) -> Operation {
        Content::Plc(self).sign(key)
    }
}

impl UnsignedTombstone {
    /// Signs with one of the rotation keys of the operation before.
    pub fn sign(self, key: &SecretKey) -> Operation {
        Content::Tombstone(self).sign(key)
    }
}

impl Content {
    fn sign(self, key: &SecretKey) -> Operation {
        let sig = key.sign(&self.signing_bytes());
        Operation { content: self, sig: BASE64URL_NOPAD.encode(&sig) }
    }
}

impl LegacyCreate {
    /// The same state as a current operation would write it.
    fn normalized(&self) -> UnsignedOperation {
        let bare_handle = self.handle.replacen("http://", "", 1);
        let bare_handle = bare_handle.replacen("https://", "", 1);
        let alias = if self.handle.starts_with("at://") {
            self.handle.clone()
        } else {
            format!("at://{bare_handle}")
        };
        let is_url = self.service.starts_with("http://") || self.service.starts_with("https://");
        let endpoint = if is_url { self.service.clone() } else { format!("https://{}", self.service) };
        let pds = Service { type_: ATPROTO_PDS_TYPE.to_owned(), endpoint };
        UnsignedOperation {
            rotation_keys: vec![self.recovery_key.clone(), self.signing_key.clone()],
            verification_methods: BTreeMap::from([(ATPROTO_KEY.to_owned(), self.signing_key.clone())]),
            also_known_as: vec![alias],
            services: BTreeMap::from([(ATPROTO_PDS.to_owned(), pds)]),
            prev: None,
        }
    }
}

impl Operation {
    /// The operation before this one.
    pub fn prev(&self) -> Option<Cid> {
        match &self.content {
            Content::Plc(operation) => operation.prev,
            Content::Tombstone(tombstone) => Some(tombstone.prev),
            Content::LegacyCreate(_) => None,
        }
    }

    /// Whether this ends the identity.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.content, Content::Tombstone(_))
    }

    /// The state this operation sets, in the current form; none for a tombstone.
    pub fn normalized(&self) -> Option<Cow<'_, UnsignedOperation>> {
        match &self.content {
            Content::Plc(operation) => Some(Cow::Borrowed(operation)),
            Content::Tombstone(_) => None,
            Content::LegacyCreate(create) => Some(Cow::Owned(create.normalized())),
        }
    }

    /// The bytes that are signed: the DAG-CBOR of the operation without `sig`.
    pub fn signing_bytes(&self) -> Vec<u8> {
        self.content.signing_bytes()
    }

    /// The name by which the next operation refers to this one.
    pub fn cid(&self) -> Cid {
        Cid::dag_cbor(&self.to_cbor())
    }

    /// The DID that this operation creates when it is a genesis: the first 120 bits of its hash.
    pub fn did_of_genesis(&self) -> Did {
        let hash: [u8; 32] = Sha256::digest(self.to_cbor()).into();
        let mut identifier = BASE32_NOPAD.encode(&hash);
        identifier.truncate(24);
        identifier.make_ascii_lowercase();
        #[expect(clippy::expect_used, reason = "letters and digits after did:plc: are a DID")]
        Did::parse(&format!("did:plc:{identifier}")).expect("a did:plc is a valid DID")
    }

    /// Finds the first of `rotation_keys` (did:keys) that made the signature, and its position.
    ///
    /// Keys that cannot be parsed sign nothing; logs from before they were checked may hold some.
    pub fn signer(&self, rotation_keys: &[String]) -> Result<usize, PlcError> {
        let sig = BASE64URL_NOPAD.decode(self.sig.as_bytes()).map_err(|_| PlcError::SignatureEncoding)?;
        let message = self.signing_bytes();
        rotation_keys
            .iter()
            .position(|key| PublicKey::from_did_key(key).is_ok_and(|key| key.verify(&message, &sig).is_ok()))
            .ok_or(PlcError::Signature)
    }
}
