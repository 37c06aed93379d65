//! The two headers of an authenticated request: `Authorization: DPoP <token>` and `DPoP: <proof>`.

use thiserror::Error;

use crate::jws::MAX_COMPACT_BYTES;

/// Why the headers are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// No `Authorization`.
    #[error("no Authorization header; send `Authorization: DPoP <access token>` and a DPoP proof")]
    Missing,
    /// More than one `Authorization`.
    #[error("several Authorization headers; send exactly one")]
    Several,
    /// Another scheme, in lower case (`bearer`, `basic`, ...).
    #[error("the Authorization scheme `{0}` is not accepted here; send `Authorization: DPoP <access token>`")]
    NotDpop(String),
    /// No scheme and token in it.
    #[error("the Authorization header is malformed; send `Authorization: DPoP <access token>`")]
    Malformed,
    /// No `DPoP`.
    #[error("no DPoP header; sign a proof (RFC 9449) for this request and send it as `DPoP: <proof>`")]
    MissingProof,
    /// More than one `DPoP`: RFC 9449 section 4.3, check 1.
    #[error("several DPoP headers; send exactly one proof")]
    SeveralProofs,
    /// Longer than [`MAX_COMPACT_BYTES`].
    #[error("the {0} is longer than {MAX_COMPACT_BYTES} bytes; use fewer or shorter claims")]
    TooLong(&'static str),
    /// The `DPoP` header is not a JWS.
    #[error("the DPoP header is malformed; send one compact JWS, header.payload.signature")]
    MalformedProof,
}

/// The token of the only `Authorization` header, whose scheme must be DPoP.
pub fn dpop_token<'a>(header_values: impl Iterator<Item = &'a [u8]>) -> Result<&'a str, AuthorizationError> {
    let value = only(header_values, AuthorizationError::Missing, AuthorizationError::Several)?;
    let value = std::str::from_utf8(value).map_err(|_| AuthorizationError::Malformed)?;
    // RFC 9110 section 11.4: scheme, one or more spaces, token68. Case of the scheme does not matter.
    let (scheme, token) = value.split_once(' ').ok_or(AuthorizationError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("dpop") {
        return Err(other_scheme(scheme));
    }
    token68(token.trim_matches(' '), "access token", AuthorizationError::Malformed)
}

/// The only `DPoP` header.
pub fn single_proof<'a>(
    header_values: impl Iterator<Item = &'a [u8]>,
) -> Result<&'a str, AuthorizationError> {
    let value = only(header_values, AuthorizationError::MissingProof, AuthorizationError::SeveralProofs)?;
    if value.contains(&b',') {
        // Several fields of one name may arrive joined (RFC 9110 section 5.3).
        return Err(AuthorizationError::SeveralProofs);
    }
    let value = std::str::from_utf8(value).map_err(|_| AuthorizationError::MalformedProof)?;
    token68(value.trim_matches([' ', '\t']), "DPoP proof", AuthorizationError::MalformedProof)
}

fn only<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    missing: AuthorizationError,
    several: AuthorizationError,
) -> Result<&'a [u8], AuthorizationError> {
    let value = values.next().ok_or(missing)?;
    if values.next().is_some() { Err(several) } else { Ok(value) }
}

/// Names a scheme only when it looks like one, so that a token sent without a scheme does not come back in an error.
fn other_scheme(scheme: &str) -> AuthorizationError {
    if scheme.len() <= 16
        && !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
    {
        AuthorizationError::NotDpop(scheme.to_ascii_lowercase())
    } else {
        AuthorizationError::Malformed
    }
}

fn token68<'a>(
    text: &'a str,
    what: &'static str,
    malformed: AuthorizationError,
) -> Result<&'a str, AuthorizationError> {
    if text.len() > MAX_COMPACT_BYTES {
        return Err(AuthorizationError::TooLong(what));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if text.is_empty() || !text.bytes().all(allowed) { Err(malformed) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
