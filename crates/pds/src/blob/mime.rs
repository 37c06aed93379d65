//! What type a blob has: what its uploader says, or what its first bytes look like.

use crate::error::{Result, invalid_request};
use http::{HeaderMap, header};

/// What is known of bytes that look like nothing in particular.
const UNKNOWN: &str = "application/octet-stream";
/// Longest type and longest subtype (RFC 6838, section 4.2).
const MAX_NAME: usize = 127;

/// The type in the `Content-Type` of an upload, in lower case and without parameters. `None` leaves it to be sniffed.
pub(super) fn declared(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or("\u{fffd}");
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if values.next().is_none() {
        match essence.split_once('/') {
            None if essence.is_empty() => return Ok(None),
            Some(("*", "*")) => return Ok(None),
            Some((kind, subtype)) if is_name(kind) && is_name(subtype) => return Ok(Some(essence)),
            _ => {}
        }
    }
    Err(invalid_request(
        "The Content-Type must be one media type such as image/png, or be left out to have it found from the bytes.",
    ))
}

/// RFC 6838, section 4.2: `restricted-name`.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

/// The type that bytes which begin so most likely have.
pub(super) fn sniffed(beginning: &[u8]) -> &'static str {
    infer::get(beginning).map_or(UNKNOWN, |kind| kind.mime_type())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn of(value: &str) -> Result<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        declared(&headers)
    }

    #[test]
    fn a_type_is_taken_without_its_parameters_and_case() {
        assert_eq!(of("Image/PNG").unwrap().unwrap(), "image/png");
        assert_eq!(of(" text/plain ; charset=utf-8").unwrap().unwrap(), "text/plain");
        assert_eq!(of("application/vnd.x+json").unwrap().unwrap(), "application/vnd.x+json");
        for absent in ["", " ", "*/*", "*/*;q=0.8"] {
            assert_eq!(of(absent).unwrap(), None, "{absent:?}");
        }
        assert_eq!(declared(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn what_is_no_type_is_refused() {
        let long = format!("a/{}", "b".repeat(MAX_NAME + 1));
        for bad in [
            "png",
            "image/",
            "/png",
            "image/*",
            "image/p ng",
            "image/png/x",
            "a/\u{e9}",
            "a,b/c",
            "-/x",
            &long,
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
        let mut two = HeaderMap::new();
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
        assert!(declared(&two).is_err());
    }

    #[test]
    fn well_known_beginnings_are_recognised() {
        assert_eq!(sniffed(b"\x89PNG\r\n\x1a\n...."), "image/png");
        assert_eq!(sniffed(b"\xff\xd8\xff\xe0"), "image/jpeg");
        assert_eq!(sniffed(b"%PDF-1.7"), "application/pdf");
        assert_eq!(sniffed(b"nothing in particular"), UNKNOWN);
    }

    /// Beginnings after which the sniffer reads lengths and offsets.
    const MAGIC: [&[u8]; 12] = [
        b"",
        b"PK\x03\x04",
        b"\0\0\0\x18ftyp",
        b"\xff\xff\xff\xffftypheic",
        b"\x1aE\xdf\xa3",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\x04\x22\x4d\x18",
        b"\xca\xfe\xba\xbe",
        b"dex\n035\0",
        b"<!DOCTYPE",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_can_be_sniffed(
            magic in prop::sample::select(&MAGIC[..]),
            rest in prop::collection::vec(prop_oneof![Just(0), Just(255), any::<u8>()], 0..400),
        ) {
            let bytes = [magic, &rest].concat();
            let name = sniffed(&bytes);
            prop_assert!(name.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype)));
        }
    }
}
