//! A record on the command line: JSON itself, `@file`, or `-` for stdin.

use anyhow::{Context, Result, anyhow, bail, ensure};
use rookery_atproto::data::json;
use rookery_atproto::syntax::Nsid;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};

/// More than any server takes.
const MAX_INPUT_BYTES: u64 = 8 * 1024 * 1024;
const MAX_DEPTH: usize = 64;

/// Reads a record and checks it as strictly as the protocol does. A lenient reader would change what it does not
/// understand (a repeated member, an integer past 64 bits) and sign that.
/// A record without `$type` gets that of its collection.
pub(super) fn record(argument: &str, collection: &Nsid) -> Result<Value> {
    let (bytes, from) = match (argument, argument.strip_prefix('@')) {
        ("-", _) => (bounded(io::stdin().lock())?, "stdin"),
        (_, Some(path)) => {
            let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
            (bounded(file).with_context(|| format!("cannot read {path}"))?, path)
        }
        (_, None) => (argument.as_bytes().to_vec(), "the argument"),
    };
    json::parse(&bytes, MAX_DEPTH).map_err(|error| anyhow!("{from} is not a record: {error}"))?;
    let mut record: Value = serde_json::from_slice(&bytes).with_context(|| format!("{from} is not JSON"))?;
    let Some(members) = record.as_object_mut() else {
        bail!("{from} is not a record: a record is a JSON object, such as {{\"text\":\"hello\"}}");
    };
    members.entry("$type").or_insert_with(|| collection.as_str().into());
    Ok(record)
}

fn bounded(source: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= MAX_INPUT_BYTES,
        "more than {MAX_INPUT_BYTES} bytes; a record has at most 1,000,000"
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn note() -> Nsid {
        Nsid::parse("com.example.note").unwrap()
    }

    #[test]
    fn a_missing_type_is_that_of_the_collection_and_a_given_one_stays() {
        assert_eq!(record("{}", &note()).unwrap(), serde_json::json!({ "$type": "com.example.note" }));
        let other = r#"{"$type":"com.example.other"}"#;
        assert_eq!(record(other, &note()).unwrap(), serde_json::json!({ "$type": "com.example.other" }));
    }

    #[test]
    fn a_record_comes_from_the_argument_or_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(br#"{"text":"hi"}"#).unwrap();
        let path = format!("@{}", file.path().display());
        assert_eq!(record(&path, &note()).unwrap(), record(r#"{"text":"hi"}"#, &note()).unwrap());
    }

    #[test]
    fn what_a_lenient_reader_would_change_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1.5}"#,
            r#"{"a":99999999999999999999}"#,
            "[]",
            "1",
            "",
            "{",
            "@/nowhere/at/all",
        ] {
            assert!(record(text, &note()).is_err(), "{text}");
        }
    }
}
