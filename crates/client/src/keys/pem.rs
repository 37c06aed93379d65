//! PEM (RFC 7468) around a PKCS#8 private key; the only label read or written is `PRIVATE KEY`.

use crate::error::{Error, Result};
use data_encoding::BASE64;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Lines of 64 characters, as openssl writes them.
pub(super) fn encode(der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(BASE64.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 64 + 64));
    pem.push_str(BEGIN);
    for (i, c) in base64.chars().enumerate() {
        if i % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push('\n');
    pem.push_str(END);
    pem.push('\n');
    pem
}

/// Text before and after the block is skipped.
pub(super) fn decode(pem: &str) -> Result<Zeroizing<Vec<u8>>> {
    if pem.contains("ENCRYPTED PRIVATE KEY") {
        return Err(Error::Key(
            "the private key is encrypted; decrypt it first (openssl pkcs8 -in key.pem -out plain.pem)"
                .into(),
        ));
    }
    let body =
        pem.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body).ok_or_else(
            || Error::Key(format!("there is no \"{BEGIN}\" block; the key must be PKCS#8 in PEM")),
        )?;
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    base64.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    BASE64
        .decode(base64.as_bytes())
        .map(Zeroizing::new)
        .map_err(|error| Error::Key(format!("the PEM block is damaged: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_and_text_around_it_is_skipped() {
        for length in [0, 1, 47, 48, 49, 1_000] {
            let der = vec![7; length];
            let pem = encode(&der);
            assert!(pem.lines().all(|line| line.len() <= 64));
            assert_eq!(*decode(&format!("Bag Attributes\n{}\ntrailer", *pem)).unwrap(), der);
        }
    }

    #[test]
    fn damaged_and_foreign_blocks_are_refused_with_a_reason() {
        for (pem, reason) in [
            ("", "PKCS#8"),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "PKCS#8"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", "encrypted"),
            ("-----BEGIN PRIVATE KEY-----\nA!\n-----END PRIVATE KEY-----", "damaged"),
        ] {
            assert!(decode(pem).unwrap_err().to_string().contains(reason), "{pem}");
        }
    }
}
