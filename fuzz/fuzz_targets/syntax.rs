//! Identifiers: what is read is written as the same, in the protocol's form, and reads back, also through JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_atproto::data::Cid;
use rookery_atproto::identity::handle_rules::HandleDomain;
use rookery_atproto::syntax::{
    AtIdentifier, AtUri, Datetime, Did, Handle, Language, Nsid, RecordKey, SyntaxError, Tid, is_cid_syntax,
    is_uri,
};
use rookery_fuzz as _;
use serde_json::Value;
use std::fmt::{Debug, Display};
use std::str::FromStr;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(cid) = Cid::from_bytes(bytes) {
        assert_eq!(cid.as_bytes().as_slice(), bytes);
        assert_eq!(cid.to_string().parse::<Cid>(), Ok(cid));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    same::<Did, SyntaxError>(text);
    same::<Nsid, SyntaxError>(text);
    same::<RecordKey, SyntaxError>(text);
    same::<Tid, SyntaxError>(text);
    same::<Language, SyntaxError>(text);
    same::<Cid, _>(text);
    if let Some(time) = same::<Datetime, SyntaxError>(text) {
        let again = Datetime::from_micros(time.micros());
        assert_eq!(again.micros(), time.micros().div_euclid(1_000) * 1_000, "cut to milliseconds");
    }
    let handle = read::<Handle, SyntaxError>(text);
    if let Some(handle) = &handle {
        assert!(handle.as_str().eq_ignore_ascii_case(text) && Did::parse(text).is_err());
    }
    let identifier = read::<AtIdentifier, SyntaxError>(text);
    assert_eq!(identifier.is_some(), handle.is_some() || Did::parse(text).is_ok());
    if let Some(uri) = read::<AtUri, SyntaxError>(text) {
        assert!(is_uri(text) && uri.as_str().eq_ignore_ascii_case(text));
        let parts = [Some(uri.authority()), uri.collection(), uri.rkey()].into_iter().flatten();
        assert_eq!(format!("at://{}", parts.collect::<Vec<_>>().join("/")), uri.as_str());
    }
    assert!(Cid::from_str(text).is_err() || is_cid_syntax(text));
    claim(text);
});

/// A type whose text is kept as it was.
fn same<T: FromStr<Err = E> + Display + Debug + PartialEq, E: Debug + Display>(text: &str) -> Option<T> {
    let value = read::<T, E>(text)?;
    assert_eq!(value.to_string(), text);
    Some(value)
}

/// What reads must read back; what does not, says why in few words.
fn read<T: FromStr<Err = E> + Display + Debug + PartialEq, E: Debug + Display>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            assert_eq!(value.to_string().parse::<T>().expect("its own text"), value);
            assert!(value.to_string().is_ascii());
            Some(value)
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.len() < 1_500 && !told.contains(char::is_control), "{told}");
            None
        }
    }
}

fn claim(text: &str) {
    let (domain, wanted) = text.split_once('\n').unwrap_or((".pds.example.com", text));
    let Ok(domain) = HandleDomain::new(domain) else { return };
    if let Ok(handle) = domain.claim(wanted) {
        assert!(domain.contains(&handle));
        assert_eq!(domain.claim(handle.as_str()), Ok(handle.clone()), "claimed by its full name");
        assert_eq!(serde_json::from_value::<Handle>(Value::from(handle.as_str())).ok(), Some(handle));
    }
}
