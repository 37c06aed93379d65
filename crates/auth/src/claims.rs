//! Reading the members of a payload.

use serde_json::{Map, Value};
use thiserror::Error;

/// The longest `jti`, in bytes.
pub const MAX_JTI_BYTES: usize = 256;

/// A claim is absent where it is required, or not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the claim `{claim}` must be {expected}")]
pub struct ClaimError {
    /// Its name.
    pub claim: &'static str,
    /// What belongs there.
    pub expected: &'static str,
}

pub(crate) fn text<'a>(
    payload: &'a Map<String, Value>,
    claim: &'static str,
    expected: &'static str,
) -> Result<&'a str, ClaimError> {
    optional_text(payload, claim, expected)?.ok_or(ClaimError { claim, expected })
}

pub(crate) fn optional_text<'a>(
    payload: &'a Map<String, Value>,
    claim: &'static str,
    expected: &'static str,
) -> Result<Option<&'a str>, ClaimError> {
    let read = |value: &'a Value| value.as_str().ok_or(ClaimError { claim, expected });
    payload.get(claim).map(read).transpose()
}

/// A time in whole seconds. RFC 7519 allows fractions; nobody needs them, and an integer has one meaning.
pub(crate) fn seconds(payload: &Map<String, Value>, claim: &'static str) -> Result<i64, ClaimError> {
    optional_seconds(payload, claim)?.ok_or(ClaimError { claim, expected: SECONDS })
}

pub(crate) fn optional_seconds(
    payload: &Map<String, Value>,
    claim: &'static str,
) -> Result<Option<i64>, ClaimError> {
    let read = |value: &Value| value.as_i64().ok_or(ClaimError { claim, expected: SECONDS });
    payload.get(claim).map(read).transpose()
}

pub(crate) fn optional_jti(payload: &Map<String, Value>) -> Result<Option<&str>, ClaimError> {
    match optional_text(payload, "jti", JTI)? {
        Some(jti) if jti.is_empty() || jti.len() > MAX_JTI_BYTES => {
            Err(ClaimError { claim: "jti", expected: JTI })
        }
        found => Ok(found),
    }
}

pub(crate) fn jti(payload: &Map<String, Value>) -> Result<&str, ClaimError> {
    optional_jti(payload)?.ok_or(ClaimError { claim: "jti", expected: JTI })
}

const SECONDS: &str = "an integer, seconds since 1970-01-01T00:00:00Z";
const JTI: &str = "an identifier of 1 to 256 bytes, new for each token or proof";
