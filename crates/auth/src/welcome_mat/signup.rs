//! The body of `POST /api/signup`.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::encoding;
use crate::json::{self, JsonError};
use crate::jwk::{MAX_RSA_BITS, PublicJwk};
use crate::jws::{MAX_COMPACT_BYTES, SignatureCheck};

/// The longest body read, in bytes.
pub const MAX_SIGNUP_BYTES: usize = 16 * 1024;

const MAX_HANDLE_BYTES: usize = 253;
const MAX_REF_BYTES: usize = 2048;
const MAX_RECOVERY_KEY_BYTES: usize = 256;
/// The longest signature there is, in base64url.
const MAX_SIGNATURE_CHARS: usize = (MAX_RSA_BITS / 8).div_ceil(3) * 4;

/// What an agent asks for. Well-formed; neither the signature nor the token nor the handle is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignupRequest {
    /// The handle wanted.
    pub handle: String,
    /// Signature over the terms.
    pub tos_signature: Vec<u8>,
    /// The token the agent proposes, see [`super::UnverifiedToken`].
    pub access_token: String,
    /// `ref`: the entry URL the agent was handed, verbatim. Its fragment may carry an invite.
    pub entry_ref: Option<String>,
    /// `recoveryKey`: a did:key that can take the identity back.
    pub recovery_key: Option<String>,
}

/// Why a body is not a signup.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignupError {
    /// Longer than [`MAX_SIGNUP_BYTES`].
    #[error(
        "signup: the body is longer than {MAX_SIGNUP_BYTES} bytes; send only the members of the enrollment"
    )]
    TooLong,
    /// Not a JSON object.
    #[error("signup: the body is {0}")]
    Json(#[from] JsonError),
    /// A member is absent or malformed.
    #[error("signup: `{member}` must be {expected}")]
    Member {
        /// Its name in the JSON.
        member: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A member is too long.
    #[error("signup: `{member}` is longer than {limit} bytes; shorten it")]
    MemberTooLong {
        /// Its name in the JSON.
        member: &'static str,
        /// The most it may have.
        limit: usize,
    },
}

impl SignupRequest {
    /// Reads the body. Unknown members are ignored; optional ones may be `null`.
    pub fn from_json(body: &[u8]) -> Result<Self, SignupError> {
        if body.len() > MAX_SIGNUP_BYTES {
            return Err(SignupError::TooLong);
        }
        let members = json::parse_object(body)?;
        let signature = required(&members, "tos_signature", TOS_SIGNATURE, MAX_SIGNATURE_CHARS)?;
        Ok(Self {
            handle: required(&members, "handle", "the handle you want", MAX_HANDLE_BYTES)?.to_owned(),
            tos_signature: encoding::decode(signature)
                .ok_or(SignupError::Member { member: "tos_signature", expected: TOS_SIGNATURE })?,
            access_token: required(&members, "access_token", "the wm+jwt you propose", MAX_COMPACT_BYTES)?
                .to_owned(),
            entry_ref: optional(&members, "ref", "the entry URL you were handed", MAX_REF_BYTES)?
                .map(str::to_owned),
            recovery_key: optional(&members, "recoveryKey", "a did:key", MAX_RECOVERY_KEY_BYTES)?
                .map(str::to_owned),
        })
    }

    /// The signature over the terms, which must be by the proof's key.
    pub fn tos_check(&self, key: &PublicJwk, tos: &[u8]) -> SignatureCheck {
        SignatureCheck {
            key: key.clone(),
            alg: key.alg(),
            message: tos.to_vec(),
            signature: self.tos_signature.clone(),
        }
    }
}

fn required<'a>(
    members: &'a Map<String, Value>,
    member: &'static str,
    expected: &'static str,
    limit: usize,
) -> Result<&'a str, SignupError> {
    optional(members, member, expected, limit)?
        .filter(|text| !text.is_empty())
        .ok_or(SignupError::Member { member, expected })
}

fn optional<'a>(
    members: &'a Map<String, Value>,
    member: &'static str,
    expected: &'static str,
    limit: usize,
) -> Result<Option<&'a str>, SignupError> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() > limit => Err(SignupError::MemberTooLong { member, limit }),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(SignupError::Member { member, expected }),
    }
}

const TOS_SIGNATURE: &str = "base64url(signature over the exact bytes of /tos), made with the proof's key";
