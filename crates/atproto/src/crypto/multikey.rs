//! The text forms of public keys: did:key, multikey, and the multibase of the 2019 suites.

use super::{Curve, KeyError};

const DID_KEY: &str = "did:key:";
const BASE58_BTC: char = 'z';

/// Longest multibase text that is decoded (the limit of the PLC directory; a secp256k1 multikey has 49).
pub const MAX_MULTIBASE_LEN: usize = 256;

/// The multicodec code of the curve as an unsigned varint.
const fn codec(curve: Curve) -> [u8; 2] {
    match curve {
        Curve::P256 => [0x80, 0x24],
        Curve::K256 => [0xe7, 0x01],
    }
}

/// The multikey within a did:key.
pub(super) fn strip_did_key(did_key: &str) -> Result<&str, KeyError> {
    did_key.strip_prefix(DID_KEY).ok_or(KeyError::NotDidKey)
}

pub(super) fn with_did_key(multikey: &str) -> String {
    format!("{DID_KEY}{multikey}")
}

pub(super) fn encode(curve: Curve, point: &[u8]) -> String {
    let mut bytes = codec(curve).to_vec();
    bytes.extend_from_slice(point);
    let mut text = String::from(BASE58_BTC);
    text.push_str(&bs58::encode(bytes).into_string());
    text
}

/// The curve and the point of a multikey; the point is not checked.
pub(super) fn decode(multikey: &str) -> Result<(Curve, Vec<u8>), KeyError> {
    let bytes = decode_multibase(multikey)?;
    for curve in [Curve::K256, Curve::P256] {
        if let Some(point) = bytes.strip_prefix(&codec(curve)) {
            return Ok((curve, point.to_vec()));
        }
    }
    Err(KeyError::UnsupportedCurve)
}

pub(super) fn decode_multibase(text: &str) -> Result<Vec<u8>, KeyError> {
    if text.len() > MAX_MULTIBASE_LEN {
        return Err(KeyError::TooLong(text.len()));
    }
    let base58 = text.strip_prefix(BASE58_BTC).ok_or(KeyError::NotBase58Btc)?;
    bs58::decode(base58).into_vec().map_err(|_| KeyError::Base58)
}

/// Whether the text has the form of a did:key of any key type (the PLC directory takes such keys as verification methods).
pub(crate) fn is_did_key_syntax(text: &str) -> bool {
    strip_did_key(text).is_ok_and(|multikey| decode_multibase(multikey).is_ok())
}
