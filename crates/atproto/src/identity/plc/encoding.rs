//! Operations as DAG-CBOR: the bytes that are signed and hashed.
//!
//! Keys are written in canonical order (by length, then by bytes), which for the fields of operations is fixed and stands in
//! the code below; a test compares it with an independent encoder.

use std::collections::BTreeMap;

use super::operation::{Content, LegacyCreate, Operation, Service, UnsignedOperation};
use crate::data::cbor::{Writer, key_order};
use crate::data::cid::Cid;

impl Content {
    pub(super) fn signing_bytes(&self) -> Vec<u8> {
        self.encode(None)
    }

    /// With `sig`, which by its length comes first in every kind of operation.
    fn encode(&self, sig: Option<&str>) -> Vec<u8> {
        let mut out = Writer::new();
        let fields = match self {
            Content::Plc(_) => 6,
            Content::Tombstone(_) => 2,
            Content::LegacyCreate(_) => 6,
        };
        out.map(fields + usize::from(sig.is_some()));
        if let Some(sig) = sig {
            text_field(&mut out, "sig", sig);
        }
        match self {
            Content::Plc(operation) => write_plc(&mut out, operation),
            Content::Tombstone(tombstone) => {
                prev_field(&mut out, Some(tombstone.prev));
                text_field(&mut out, "type", "plc_tombstone");
            }
            Content::LegacyCreate(create) => write_create(&mut out, create),
        }
        out.into_bytes()
    }
}

impl Operation {
    pub(super) fn to_cbor(&self) -> Vec<u8> {
        self.content.encode(Some(&self.sig))
    }
}

fn write_plc(out: &mut Writer, operation: &UnsignedOperation) {
    prev_field(out, operation.prev);
    text_field(out, "type", "plc_operation");
    out.text("services");
    map(out, &operation.services, write_service);
    out.text("alsoKnownAs");
    list(out, &operation.also_known_as);
    out.text("rotationKeys");
    list(out, &operation.rotation_keys);
    out.text("verificationMethods");
    map(out, &operation.verification_methods, |out, key| out.text(key));
}

fn write_service(out: &mut Writer, service: &Service) {
    out.map(2);
    text_field(out, "type", &service.type_);
    text_field(out, "endpoint", &service.endpoint);
}

fn write_create(out: &mut Writer, create: &LegacyCreate) {
    prev_field(out, None);
    text_field(out, "type", "create");
    text_field(out, "handle", &create.handle);
    text_field(out, "service", &create.service);
    text_field(out, "signingKey", &create.signing_key);
    text_field(out, "recoveryKey", &create.recovery_key);
}

fn text_field(out: &mut Writer, key: &str, value: &str) {
    out.text(key);
    out.text(value);
}

/// `prev` is the text of the CID, not a link.
fn prev_field(out: &mut Writer, prev: Option<Cid>) {
    out.text("prev");
    match prev {
        Some(cid) => out.text(&cid.to_string()),
        None => out.null(),
    }
}

fn list(out: &mut Writer, items: &[String]) {
    out.array(items.len());
    for item in items {
        out.text(item);
    }
}

fn map<V>(out: &mut Writer, entries: &BTreeMap<String, V>, write: fn(&mut Writer, &V)) {
    out.map(entries.len());
    for (key, value) in canonical(entries) {
        out.text(key);
        write(out, value);
    }
}

/// The entries in canonical order.
pub(super) fn canonical<V>(entries: &BTreeMap<String, V>) -> Vec<(&String, &V)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|(left, _), (right, _)| key_order(left, right));
    sorted
}
