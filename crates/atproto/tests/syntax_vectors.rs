//! The syntax files of the protocol's interoperability tests: every valid line is accepted, every invalid one refused.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use rookery_atproto::syntax::{
    AtIdentifier, AtUri, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, is_cid_syntax, is_uri,
};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/atproto-interop/syntax");

/// The lines of a file that are neither comments nor empty, untrimmed; nothing when the vectors are not there.
fn lines(file: &str) -> Vec<String> {
    if !std::path::Path::new(VECTORS).exists() {
        eprintln!("skipped: no {VECTORS}");
        return Vec::new();
    }
    let text = std::fs::read_to_string(format!("{VECTORS}/{file}")).unwrap();
    let lines: Vec<_> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{file}");
    lines
}

fn check(kind: &str, accepts: impl Fn(&str) -> bool) {
    for line in lines(&format!("{kind}_syntax_valid.txt")) {
        assert!(accepts(&line), "valid {kind} refused: {line:?}");
    }
    for line in lines(&format!("{kind}_syntax_invalid.txt")) {
        assert!(!accepts(&line), "invalid {kind} accepted: {line:?}");
    }
}

#[test]
fn dids_handles_and_either() {
    check("did", |text| Did::parse(text).is_ok_and(|did| did.as_str() == text));
    check("handle", |text| Handle::parse(text).is_ok());
    check("atidentifier", |text| AtIdentifier::parse(text).is_ok());
}

#[test]
fn nsids_record_keys_and_tids() {
    check("nsid", |text| Nsid::parse(text).is_ok_and(|nsid| nsid.as_str() == text));
    check("recordkey", |text| RecordKey::parse(text).is_ok());
    check("tid", |text| Tid::parse(text).is_ok_and(|tid| tid.to_string() == text));
}

#[test]
fn at_uris_uris_and_cids() {
    check("aturi", |text| AtUri::parse(text).is_ok_and(|uri| uri.as_str() == text));
    check("uri", is_uri);
    check("cid", is_cid_syntax);
}

#[test]
fn datetimes_by_form_and_by_meaning() {
    check("datetime", |text| Datetime::parse(text).is_ok());
    for line in lines("datetime_parse_invalid.txt") {
        assert!(Datetime::parse(&line).is_err(), "{line:?}");
    }
}

#[test]
fn languages_by_form_and_by_meaning() {
    check("language", |text| Language::parse(text).is_ok_and(|language| language.is_valid()));
    for line in lines("language_parse_invalid.txt") {
        assert!(!Language::parse(&line).unwrap().is_valid(), "{line:?}");
    }
}

#[test]
fn identifiers_are_text_in_json_and_checked_when_read() {
    let did: Did = serde_json::from_str(r#""did:plc:abc""#).unwrap();
    assert_eq!(serde_json::to_string(&did).unwrap(), r#""did:plc:abc""#);
    let error = serde_json::from_str::<Nsid>(r#""not an nsid""#).unwrap_err().to_string();
    assert!(error.contains("at least three segments"), "{error}");
    let tid: Tid = serde_json::from_str(r#""3jzfcijpj2z2a""#).unwrap();
    assert_eq!(serde_json::to_string(&tid).unwrap(), r#""3jzfcijpj2z2a""#);
    assert!(serde_json::from_str::<AtIdentifier>("5").is_err());
}
