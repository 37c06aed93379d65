//! What is and what is not a record, whatever its lexicon.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use rookery_atproto::data::record::{RecordFault, RecordInfo, check_data, check_record};
use rookery_atproto::data::{Cid, Map, Value, json};

const RAW: &str = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";
const DAG: &str = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";

fn value(json: &str) -> Value {
    json::parse(json.as_bytes(), 100).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn accepted(json: &str) -> RecordInfo {
    check_record(&value(json)).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn refused(json: &str) -> (String, RecordFault) {
    let error = check_record(&value(json)).unwrap_err();
    (error.path.join("/"), error.fault)
}

fn with_blob(blob: &str) -> String {
    format!(r#"{{"$type":"com.example.note","pics":[{{"image":{blob}}}]}}"#)
}

#[test]
fn a_record_tells_its_type_and_its_blobs_in_order() {
    let blob = |size: u64| {
        format!(r#"{{"$type":"blob","ref":{{"$link":"{RAW}"}},"mimeType":"image/png","size":{size}}}"#)
    };
    let record = accepted(&format!(
        r#"{{"$type":"com.example.note","b":{},"a":[{},{}],"$unknown":{{"x":null}}}}"#,
        blob(3),
        blob(1),
        blob(2)
    ));
    assert_eq!(record.type_.as_str(), "com.example.note");
    assert_eq!(record.blobs.iter().map(|blob| blob.size).collect::<Vec<_>>(), [1, 2, 3]);
    let first = record.blobs.first().unwrap();
    assert_eq!(first.cid, RAW.parse::<Cid>().unwrap());
    assert_eq!(first.mime_type, "image/png");
}

#[test]
fn a_record_is_an_object_with_the_nsid_of_its_collection() {
    assert_eq!(refused("[]"), (String::new(), RecordFault::NotAnObject("a list")));
    assert_eq!(refused("{}"), (String::new(), RecordFault::MissingType));
    for json in [r#"{"$type":null}"#, r#"{"$type":""}"#, r#"{"$type":5}"#, r#"{"$type":{}}"#] {
        assert_eq!(refused(json), ("$type".to_owned(), RecordFault::Type), "{json}");
    }
    for json in [r#"{"$type":"note"}"#, r#"{"$type":"com.example.note#main"}"#, r#"{"$type":"blob"}"#] {
        let error = check_record(&value(json)).unwrap_err();
        assert!(matches!(error.fault, RecordFault::TypeSyntax(_) | RecordFault::BlobRef), "{json}: {error}");
    }
}

#[test]
fn a_nested_type_is_any_text() {
    accepted(r#"{"$type":"com.example.note","a":{"$type":"com.example.note#part"},"b":{"$type":"x"}}"#);
    assert_eq!(
        refused(r#"{"$type":"com.example.note","a":[0,{"$type":""}]}"#),
        ("a/1/$type".to_owned(), RecordFault::Type)
    );
}

#[test]
fn a_malformed_blob_is_refused_with_its_place() {
    let link = format!(r#"{{"$link":"{RAW}"}}"#);
    for (members, fault) in [
        (r#""mimeType":"a/b","size":1"#.to_owned(), RecordFault::BlobRef),
        (format!(r#""ref":"{RAW}","mimeType":"a/b","size":1"#), RecordFault::BlobRef),
        (format!(r#""ref":{{"$link":"{DAG}"}},"mimeType":"a/b","size":1"#), RecordFault::BlobRef),
        (format!(r#""ref":{link},"size":1"#), RecordFault::BlobMimeType),
        (format!(r#""ref":{link},"mimeType":"","size":1"#), RecordFault::BlobMimeType),
        (format!(r#""ref":{link},"mimeType":null,"size":1"#), RecordFault::BlobMimeType),
        (format!(r#""ref":{link},"mimeType":"a/b""#), RecordFault::BlobSize),
        (format!(r#""ref":{link},"mimeType":"a/b","size":"1""#), RecordFault::BlobSize),
        (format!(r#""ref":{link},"mimeType":"a/b","size":-1"#), RecordFault::BlobSize),
        (format!(r#""ref":{link},"mimeType":"a/b","size":0"#), RecordFault::BlobSize),
        (format!(r#""ref":{link},"mimeType":"a/b","size":1,"alt":"x""#), RecordFault::BlobMember),
    ] {
        let json = with_blob(&format!(r#"{{"$type":"blob",{members}}}"#));
        assert_eq!(refused(&json), ("pics/0/image".to_owned(), fault), "{json}");
    }
}

#[test]
fn the_legacy_form_of_a_blob_is_refused_and_what_only_resembles_it_is_not() {
    let legacy = with_blob(&format!(r#"{{"cid":"{RAW}","mimeType":"image/png"}}"#));
    assert_eq!(refused(&legacy), ("pics/0/image".to_owned(), RecordFault::LegacyBlob));
    for object in [
        format!(r#"{{"cid":"{RAW}"}}"#),
        format!(r#"{{"cid":"{RAW}","mimeType":"image/png","more":1}}"#),
        r#"{"cid":"no cid","mimeType":"image/png"}"#.to_owned(),
        format!(r#"{{"cid":"{RAW}","uri":"at://did:plc:abc"}}"#),
    ] {
        accepted(&with_blob(&object));
    }
}

#[test]
fn names_that_json_would_read_as_links_or_bytes_are_refused() {
    for name in ["$link", "$bytes"] {
        let mut inner = Map::new();
        inner.insert(name, "x");
        let mut record = Map::new();
        record.insert("$type", "com.example.note");
        record.insert("a", inner);
        let error = check_record(&Value::Map(record)).unwrap_err();
        assert_eq!((error.path.join("/"), error.fault), ("a".to_owned(), RecordFault::Reserved(name)));
    }
}

#[test]
fn a_record_is_at_most_64_deep() {
    let nested = |lists: usize| {
        format!(r#"{{"$type":"com.example.note","a":{}{}}}"#, "[".repeat(lists), "]".repeat(lists))
    };
    accepted(&nested(63));
    assert_eq!(check_record(&value(&nested(64))).unwrap_err().fault, RecordFault::TooDeep);
}

#[test]
fn data_needs_no_type_of_its_own() {
    assert_eq!(check_data(&value(r#"{"a":[null]}"#)), Ok(vec![]));
    let error = check_data(&Value::Null).unwrap_err();
    assert_eq!(error.to_string(), "invalid record: a record must be an object, this is null");
}
