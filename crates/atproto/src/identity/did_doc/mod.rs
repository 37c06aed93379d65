//! Reading DID documents, of any method and age.
//!
//! Everything follows the [DID spec](https://atproto.com/specs/did#did-documents). Lenient where documents in the wild differ
//! (relative ids, the key types of 2019, entries of kinds nobody here knows), strict in what is taken out: a key that is on its
//! curve, an endpoint that is an origin and nothing more, a handle that is one.
//!
//! *Tricky bits.* A document is only a claim. That `id` is the DID that was asked for is checked by [`DidDocument::parse_for`];
//! that the handle points back is for the caller to check.

#[cfg(test)]
mod tests;

use serde_json::Value;
use thiserror::Error;

use crate::crypto::{Curve, PublicKey};
use crate::syntax::{Did, Handle};

/// Largest DID document that is read.
pub const MAX_DID_DOC_BYTES: usize = 256 * 1024;

/// Why JSON is not a usable DID document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DidDocError {
    /// Larger than any honest document.
    #[error("the DID document is {0} bytes; at most {MAX_DID_DOC_BYTES} are read")]
    TooLarge(usize),
    /// Not JSON, or JSON that is no object.
    #[error("the DID document is not a JSON object")]
    NotAnObject,
    /// `id` is missing or not a DID.
    #[error("the DID document has no id that is a DID")]
    NoId,
    /// A document about someone else.
    #[error("the DID document is about {found}, not about {expected}")]
    OtherDid {
        /// The DID that was asked for.
        expected: Did,
        /// The `id` of the document.
        found: Did,
    },
}

/// A DID document, of which the parts that atproto knows can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct DidDocument {
    id: Did,
    document: Value,
}

impl DidDocument {
    /// Reads a document.
    pub fn parse(json: &[u8]) -> Result<DidDocument, DidDocError> {
        if json.len() > MAX_DID_DOC_BYTES {
            return Err(DidDocError::TooLarge(json.len()));
        }
        let document: Value = serde_json::from_slice(json).map_err(|_| DidDocError::NotAnObject)?;
        DidDocument::from_value(document)
    }

    /// Reads the document that was fetched for `did`.
    pub fn parse_for(did: &Did, json: &[u8]) -> Result<DidDocument, DidDocError> {
        let document = DidDocument::parse(json)?;
        if document.id != *did {
            return Err(DidDocError::OtherDid { expected: did.clone(), found: document.id });
        }
        Ok(document)
    }

    /// Takes JSON that is parsed already.
    pub fn from_value(document: Value) -> Result<DidDocument, DidDocError> {
        if !document.is_object() {
            return Err(DidDocError::NotAnObject);
        }
        let id = document.get("id").and_then(Value::as_str);
        let id = id.and_then(|id| Did::parse(id).ok()).ok_or(DidDocError::NoId)?;
        Ok(DidDocument { id, document })
    }

    /// Whose document it is.
    pub fn id(&self) -> &Did {
        &self.id
    }

    /// The document as it was read.
    pub fn as_json(&self) -> &Value {
        &self.document
    }

    /// The key that signs the repository: the first valid `#atproto` verification method.
    pub fn signing_key(&self) -> Option<PublicKey> {
        self.entries("verificationMethod", "#atproto")
            .filter(|method| text(method, "controller") == Some(self.id.as_str()))
            .find_map(parse_key)
    }

    /// The origin of the account's host (`https://pds.example.com`): the first `#atproto_pds` service.
    pub fn pds_endpoint(&self) -> Option<&str> {
        self.entries("service", "#atproto_pds")
            .find(|service| text(service, "type") == Some("AtprotoPersonalDataServer"))
            .and_then(|service| text(service, "serviceEndpoint"))
            .and_then(parse_origin)
    }

    /// The handle that the document claims: the first valid one among `alsoKnownAs`.
    pub fn handle(&self) -> Option<Handle> {
        self.document
            .get("alsoKnownAs")?
            .as_array()?
            .iter()
            .filter_map(|alias| alias.as_str()?.strip_prefix("at://"))
            .find_map(|handle| Handle::parse(handle).ok())
    }

    /// Entries of a list whose id is `fragment`, relative or with the DID before it.
    fn entries<'a>(&'a self, list: &'static str, fragment: &'static str) -> impl Iterator<Item = &'a Value> {
        let list = self.document.get(list).and_then(Value::as_array);
        list.into_iter().flatten().filter(move |entry| {
            text(entry, "id")
                .map(|id| id.strip_prefix(self.id.as_str()).unwrap_or(id))
                .is_some_and(|id| id == fragment)
        })
    }
}

fn text<'a>(entry: &'a Value, field: &str) -> Option<&'a str> {
    entry.get(field)?.as_str()
}

fn parse_key(method: &Value) -> Option<PublicKey> {
    let key = text(method, "publicKeyMultibase")?;
    match text(method, "type")? {
        "Multikey" => PublicKey::from_multikey(key),
        "EcdsaSecp256r1VerificationKey2019" => PublicKey::from_legacy_multibase(Curve::P256, key),
        "EcdsaSecp256k1VerificationKey2019" => PublicKey::from_legacy_multibase(Curve::K256, key),
        _ => return None,
    }
    .ok()
}

/// Scheme, host and port, without a trailing slash; none when there is anything more.
fn parse_origin(url: &str) -> Option<&str> {
    let url = url.strip_suffix('/').unwrap_or(url);
    let authority = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are within its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_valid =
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    (is_host(host) && port_is_valid).then_some(url)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => {
            address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            !host.is_empty() && host.bytes().all(allowed)
        }
    }
}
