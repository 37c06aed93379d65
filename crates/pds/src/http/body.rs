//! Request bodies: bounded before and while they are read, each and all together, and JSON only through the strict parser.

use crate::config::limits;
use crate::error::{Error, Result, invalid_request, overloaded, payload_too_large, too_many};
use crate::limits::{Full, Place};
use crate::ports::RepoId;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rookery_atproto::data::{Map, Value, json};
use std::str::FromStr;

/// How deep a request body may nest: a record of depth 64 inside a batch of writes.
const MAX_DEPTH: usize = 68;

/// Bytes of an account's bodies in memory; they count until this is dropped.
pub(crate) type Held = Place<RepoId>;

/// Reads a body of at most `limit` bytes. One that announces more is refused unread.
pub(crate) async fn read(parts: &Parts, body: Body, limit: usize) -> Result<Bytes> {
    read_counting(parts, body, limit, |_| Ok(())).await
}

/// The same, with what has arrived counted in `held`. Only that: who announces much and sends nothing takes no room.
async fn read_held(parts: &Parts, body: Body, limit: usize, held: &mut Held) -> Result<Bytes> {
    let count = |length| held.grow(length).map_err(too_much_in_memory);
    read_counting(parts, body, limit, count).await
}

async fn read_counting(
    parts: &Parts,
    body: Body,
    limit: usize,
    mut count: impl FnMut(usize) -> Result<()>,
) -> Result<Bytes> {
    refuse_encoded(parts)?;
    if announced(parts).is_some_and(|length| length > limit as u64) {
        return Err(payload_too_large(limit));
    }
    let mut body = Limited::new(body, limit);
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return payload_too_large(limit);
            }
            invalid_request("The request body ended early.").because(error)
        })?;
        if let Ok(chunk) = frame.into_data() {
            count(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes.freeze())
}

fn too_much_in_memory(full: Full) -> Error {
    match full {
        Full::Own => too_many(format!(
            "The requests of this account that are in progress have more than {} bytes. Wait until one has ended.",
            limits::BODIES.0
        )),
        Full::All => {
            overloaded("The server has as many requests in memory as it takes. Try again in a second.")
        }
    }
}

/// Refuses a body that is compressed.
pub(crate) fn refuse_encoded(parts: &Parts) -> Result<()> {
    match parts.headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding.as_bytes() != b"identity" => Err(Error::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "InvalidRequest",
            "Compressed request bodies are not taken. Send the body without Content-Encoding.",
        )),
        _ => Ok(()),
    }
}

/// How long a body is going to be, where its `Content-Length` says so.
pub(crate) fn announced(parts: &Parts) -> Option<u64> {
    parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a body that does not say it is JSON.
pub(crate) fn require_json(parts: &Parts) -> Result<()> {
    let given =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(invalid_request(format!(
        "Wrong request encoding (Content-Type): {given:?}. This endpoint takes application/json."
    )))
}

/// The JSON object of a procedure's input.
#[derive(Debug)]
pub(crate) struct Input(Map);

impl Input {
    /// Reads and parses the body of a request: an object, without duplicate members, floats or broken text. Its bytes are
    /// counted in `held`.
    pub(crate) async fn read(parts: &Parts, body: Body, limit: usize, held: &mut Held) -> Result<Self> {
        require_json(parts)?;
        Self::parse(&read_held(parts, body, limit, held).await?)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        match json::parse(bytes, MAX_DEPTH) {
            Ok(Value::Map(map)) => Ok(Self(map)),
            Ok(other) => {
                Err(invalid_request(format!("The request body must be a JSON object, not {}.", other.kind())))
            }
            Err(error) => Err(invalid_request(format!("The request body is not valid: {error}"))),
        }
    }

    /// The members of an object that stands inside another input.
    pub(crate) fn nested(value: Value, place: &str) -> Result<Self> {
        match value {
            Value::Map(map) => Ok(Self(map)),
            other => Err(invalid_request(format!("{place} must be an object, not {}.", other.kind()))),
        }
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes out a member that must be there.
    pub(crate) fn take_required(&mut self, name: &str) -> Result<Value> {
        self.take(name).ok_or_else(|| invalid_request(format!("The member {name:?} is required.")))
    }

    /// A text member of its type, if it is there.
    pub(crate) fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => text
                .parse()
                .map(Some)
                .map_err(|error| invalid_request(format!("The member {name:?} is wrong: {error}"))),
            Some(other) => {
                Err(invalid_request(format!("The member {name:?} must be a string, not {}.", other.kind())))
            }
        }
    }

    /// A text member of its type.
    pub(crate) fn required<T: FromStr>(&self, name: &str) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        self.optional(name)?.ok_or_else(|| invalid_request(format!("The member {name:?} is required.")))
    }

    /// A boolean member, if it is there.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(invalid_request(format!(
                "The member {name:?} must be true or false, not {}.",
                other.kind()
            ))),
        }
    }

    /// True when the member is there and is null.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Null))
    }
}
