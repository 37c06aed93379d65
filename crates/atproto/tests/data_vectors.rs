//! The data model files of the protocol's interoperability tests.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use data_encoding::BASE64_NOPAD;
use rookery_atproto::data::record::{check_data, check_record};
use rookery_atproto::data::{Cid, Codec, cbor, json};
use serde_json::Value as Json;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/atproto-interop/");

/// The entries of a file; nothing when the vectors are not there.
fn entries(file: &str) -> Vec<Json> {
    if !std::path::Path::new(VECTORS).exists() {
        eprintln!("skipped: no {VECTORS}");
        return Vec::new();
    }
    let text = std::fs::read(format!("{VECTORS}{file}")).unwrap();
    let entries: Vec<Json> = serde_json::from_slice(&text).unwrap();
    assert!(!entries.is_empty(), "{file}");
    entries
}

/// Reads JSON as the data model and checks it as the content of a record; errors as text.
fn read(json: &Json) -> Result<(), String> {
    let value = json::parse(json.to_string().as_bytes(), 64).map_err(|error| error.to_string())?;
    check_data(&value).map(drop).map_err(|error| error.to_string())
}

#[test]
fn fixtures_have_the_published_bytes_and_cids() {
    for entry in entries("data-model/data-model-fixtures.json") {
        let value = json::parse(entry["json"].to_string().as_bytes(), 64).unwrap();
        let block = BASE64_NOPAD.decode(entry["cbor_base64"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(cbor::encode(&value), block);
        assert_eq!(cbor::decode(&block).as_ref(), Ok(&value));
        assert_eq!(Cid::dag_cbor(&block).to_string(), entry["cid"].as_str().unwrap());
        let mut transcoded = Vec::new();
        json::from_cbor(&block, &mut transcoded).unwrap();
        assert_eq!(serde_json::from_slice::<Json>(&transcoded).unwrap(), entry["json"]);
        assert_eq!(read(&entry["json"]), Ok(()));
    }
}

#[test]
fn valid_data_is_accepted() {
    for entry in entries("data-model/data-model-valid.json") {
        assert_eq!(read(&entry["json"]), Ok(()), "{}", entry["note"]);
    }
}

#[test]
fn invalid_data_is_refused() {
    for entry in entries("data-model/data-model-invalid.json") {
        assert!(read(&entry["json"]).is_err(), "{}", entry["note"]);
    }
}

#[test]
fn records_of_the_lexicon_vectors_are_sound_data() {
    for mut entry in entries("lexicon/record-data-valid.json") {
        point_blobs_at_raw_bytes(&mut entry["data"]);
        let value = json::parse(entry["data"].to_string().as_bytes(), 64).unwrap();
        let record = check_record(&value).unwrap_or_else(|error| panic!("{}: {error}", entry["name"]));
        assert_eq!(record.type_.as_str(), "example.lexicon.record");
    }
}

/// The blobs of this file refer to DAG-CBOR, which the data model forbids ("codec type `raw`"); where tests and spec
/// differ, the spec decides.
fn point_blobs_at_raw_bytes(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(point_blobs_at_raw_bytes),
        Json::Object(members) => {
            if members.get("$type").is_some_and(|type_| type_ == "blob") {
                let link = members.get_mut("ref").and_then(|link| link.get_mut("$link")).unwrap();
                let cid: Cid = link.as_str().unwrap().parse().unwrap();
                *link = Cid::from_digest(Codec::Raw, cid.digest().try_into().unwrap()).to_string().into();
            }
            members.values_mut().for_each(point_blobs_at_raw_bytes);
        }
        _ => {}
    }
}
