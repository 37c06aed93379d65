//! Operations as JSON: strict in, canonical out.
//!
//! As in the directory, unknown and missing fields are refused. Duplicate members are refused as well: readers that keep
//! the first and readers that keep the last would see two different operations.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::PlcError;
use super::operation::{Content, LegacyCreate, Operation, Service, UnsignedOperation, UnsignedTombstone};
use crate::data::cid::Cid;

/// Most JSON that is read as one operation (the body limit of the directory).
pub const MAX_OPERATION_JSON_BYTES: usize = 100 * 1024;

/// How much of a parser's complaint is passed on.
const MAX_REASON_CHARS: usize = 200;

impl Operation {
    /// Reads the JSON of a signed operation.
    pub fn from_json(json: &[u8]) -> Result<Operation, PlcError> {
        if json.len() > MAX_OPERATION_JSON_BYTES {
            return Err(PlcError::BodyTooLarge(json.len()));
        }
        serde_json::from_slice(json).map_err(|error| {
            PlcError::NotAnOperation(error.to_string().chars().take(MAX_REASON_CHARS).collect())
        })
    }

    /// The JSON of the operation, for the directory and its logs.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Plc(operation) => json!({
                "type": "plc_operation",
                "rotationKeys": operation.rotation_keys,
                "verificationMethods": operation.verification_methods,
                "alsoKnownAs": operation.also_known_as,
                "services": operation.services,
                "prev": operation.prev.map(|cid| cid.to_string()),
                "sig": self.sig,
            }),
            Content::Tombstone(tombstone) => json!({
                "type": "plc_tombstone",
                "prev": tombstone.prev.to_string(),
                "sig": self.sig,
            }),
            Content::LegacyCreate(create) => json!({
                "type": "create",
                "signingKey": create.signing_key,
                "recoveryKey": create.recovery_key,
                "handle": create.handle,
                "service": create.service,
                "prev": null,
                "sig": self.sig,
            }),
        }
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
        let (content, sig) = match Wire::deserialize(deserializer)? {
            Wire::Plc { rotation_keys, verification_methods, also_known_as, services, prev, sig } => {
                let operation =
                    UnsignedOperation { rotation_keys, verification_methods, also_known_as, services, prev };
                (Content::Plc(operation), sig)
            }
            Wire::Tombstone { prev, sig } => (Content::Tombstone(UnsignedTombstone { prev }), sig),
            Wire::Create { signing_key, recovery_key, handle, service, prev: (), sig } => {
                let create = LegacyCreate { signing_key, recovery_key, handle, service };
                (Content::LegacyCreate(create), sig)
            }
        };
        Ok(Operation { content, sig })
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Wire {
    #[serde(rename = "plc_operation")]
    Plc {
        rotation_keys: Vec<String>,
        #[serde(deserialize_with = "unique_keys")]
        verification_methods: BTreeMap<String, String>,
        also_known_as: Vec<String>,
        #[serde(deserialize_with = "unique_keys")]
        services: BTreeMap<String, Service>,
        // The attribute makes the field required: null must be written.
        #[serde(deserialize_with = "Option::deserialize")]
        prev: Option<Cid>,
        sig: String,
    },
    #[serde(rename = "plc_tombstone")]
    Tombstone { prev: Cid, sig: String },
    #[serde(rename = "create")]
    Create {
        signing_key: String,
        recovery_key: String,
        handle: String,
        service: String,
        #[serde(deserialize_with = "<()>::deserialize")]
        prev: (),
        sig: String,
    },
}

fn unique_keys<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct UniqueKeys<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueKeys<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some((key, value)) = members.next_entry::<String, V>()? {
                if entries.contains_key(&key) {
                    return Err(A::Error::custom(format_args!("duplicate member {key:?}")));
                }
                entries.insert(key, value);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(UniqueKeys(PhantomData))
}
