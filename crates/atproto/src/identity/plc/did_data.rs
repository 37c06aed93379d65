//! The state of an identity, and the DID document made of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::encoding::canonical;
use super::operation::{Operation, Service};
use crate::crypto::{Curve, PublicKey};
use crate::syntax::Did;

/// What an identity is after an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidData {
    /// did:keys that may sign the next operation, the most powerful first. Not part of the DID document.
    pub rotation_keys: Vec<String>,
    /// did:keys by name.
    pub verification_methods: BTreeMap<String, String>,
    /// URIs; the first `at://` one is the handle.
    pub also_known_as: Vec<String>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
}

impl DidData {
    /// The state that an operation sets; none for a tombstone.
    pub fn of(op: &Operation) -> Option<DidData> {
        let state = op.normalized()?.into_owned();
        Some(DidData {
            rotation_keys: state.rotation_keys,
            verification_methods: state.verification_methods,
            also_known_as: state.also_known_as,
            services: state.services,
        })
    }

    /// The state as the directory's `/{did}/data` shows it.
    pub fn to_json(&self, did: &Did) -> Value {
        json!({
            "did": did,
            "verificationMethods": self.verification_methods,
            "rotationKeys": self.rotation_keys,
            "alsoKnownAs": self.also_known_as,
            "services": self.services,
        })
    }
}

/// The DID document as the directory's `/{did}` shows it (`application/did+ld+json`).
///
/// Ids of verification methods are absolute, those of services relative. Entries are in the order in which the directory's
/// store gives them: shorter names first.
pub fn render_did_doc(did: &Did, data: &DidData) -> Value {
    let mut context = vec!["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"];
    let mut verification_methods = Vec::new();
    for (name, key) in canonical(&data.verification_methods) {
        if let Some(suite) = suite_context(key)
            && !context.contains(&suite)
        {
            context.push(suite);
        }
        verification_methods.push(json!({
            "id": format!("{did}#{name}"),
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": key.strip_prefix("did:key:").unwrap_or(key),
        }));
    }
    let services: Vec<Value> = canonical(&data.services)
        .into_iter()
        .map(|(name, service)| {
            json!({
                "id": format!("#{name}"),
                "type": service.type_,
                "serviceEndpoint": service.endpoint,
            })
        })
        .collect();
    json!({
        "@context": context,
        "id": did,
        "alsoKnownAs": data.also_known_as,
        "verificationMethod": verification_methods,
        "service": services,
    })
}

/// The JSON-LD context of the key's type; none for keys of other types.
fn suite_context(did_key: &str) -> Option<&'static str> {
    Some(match PublicKey::from_did_key(did_key).ok()?.curve() {
        Curve::P256 => "https://w3id.org/security/suites/ecdsa-2019/v1",
        Curve::K256 => "https://w3id.org/security/suites/secp256k1-2019/v1",
    })
}
