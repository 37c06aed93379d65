use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// The audit logs of a folder of the did:plc interop vectors, or none where those are not at hand.
fn audit_logs(folder: &str) -> Vec<(String, Vec<Value>)> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../../shared/vectors/did-plc/audit_log", folder].iter().collect();
    let Ok(files) = std::fs::read_dir(&path) else {
        println!("skipped: no vectors at {}", path.display());
        return Vec::new();
    };
    files
        .map(|file| {
            let file = file.unwrap();
            let json = std::fs::read(file.path()).unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, serde_json::from_slice(&json).unwrap())
        })
        .collect()
}

fn parse(log: &[Value]) -> Vec<LogEntry> {
    log.iter().map(|entry| LogEntry::from_audit_json(entry).unwrap()).collect()
}

#[test]
fn valid_audit_logs_are_accepted() {
    for (name, json) in audit_logs("valid") {
        let log = parse(&json);
        let state = verify_log(&log).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ends_in_tombstone =
            log.iter().rfind(|entry| !entry.nullified).is_some_and(|entry| entry.operation.is_tombstone());
        assert_eq!(state.is_none(), ends_in_tombstone, "{name}");
        assert_eq!(log[0].operation.did_of_genesis(), log[0].did, "{name}");
        for (entry, json) in log.iter().zip(&json) {
            assert_eq!(entry.to_audit_json(), *json, "{name}");
        }
    }
}

#[test]
fn valid_audit_logs_are_admitted_by_a_directory() {
    for (name, json) in audit_logs("valid") {
        // The directory takes the deprecated form no longer.
        if name.contains("legacy") {
            continue;
        }
        let expected = parse(&json);
        let mut directory = Directory { did: expected[0].did.clone(), log: Vec::new() };
        for entry in &expected {
            directory
                .submit(&entry.operation, entry.created_at_micros)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert_eq!(directory.log, expected, "{name}");
    }
}

#[test]
fn a_log_that_lies_is_refused() {
    for (name, json) in audit_logs("valid") {
        let log = parse(&json);
        for position in 0..log.len() {
            let mut lie = log.clone();
            lie[position].nullified ^= true;
            assert!(verify_log(&lie).is_err(), "{name}: nullified {position}");

            let mut lie = log.clone();
            lie[position].operation.sig = lie[0].operation.sig.replace('A', "B") + "A";
            assert!(verify_log(&lie).is_err(), "{name}: sig {position}");

            let mut lie = log.clone();
            lie[position].did = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
            assert!(verify_log(&lie).is_err(), "{name}: did {position}");
        }
    }
    assert_eq!(verify_log(&[]), Err(PlcError::EmptyLog));
}

#[test]
fn invalid_audit_logs_are_refused_for_their_reason() {
    for (name, json) in audit_logs("invalid") {
        let error = verify_log(&parse(&json)).expect_err(&name);
        assert_eq!(error.http_status(), 400, "{name}: {error}");
        let expected = match name.strip_prefix("log_invalid_").unwrap() {
            "nullification_reused_key.json" => matches!(error, PlcError::Signature),
            "nullification_too_slow.json" => matches!(error, PlcError::LateRecovery { .. }),
            "sig_b64_newline.json" | "sig_b64_padding_bits.json" | "sig_b64_padding_chars.json" => {
                matches!(error, PlcError::SignatureEncoding)
            }
            "sig_der.json" | "sig_k256_high_s.json" | "sig_p256_high_s.json" => {
                matches!(error, PlcError::Signature)
            }
            "update_nullified.json" => matches!(error, PlcError::UnknownPrev(_)),
            "update_tombstoned.json" => matches!(error, PlcError::Tombstoned),
            other => panic!("a new vector, {other}: what should it say instead of {error}?"),
        };
        assert!(expected, "{name}: {error}");
    }
}
