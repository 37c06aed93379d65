use super::*;
use rookery_pds::config::{Config, PlcChoice};
use std::io::Write;

fn settings(change: impl FnOnce(&mut Given)) -> Result<Settings> {
    let mut given = Given::default();
    change(&mut given);
    Settings::new(given.or(Given::default()))
}

fn core(change: impl FnOnce(&mut Given)) -> Result<Config> {
    settings(change)?.core(2583)
}

#[test]
fn nothing_given_serves_this_machine() {
    let settings = settings(|_| {}).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:2583".parse().unwrap());
    assert_eq!(settings.data_dir, PathBuf::from("./data"));
    assert_eq!((settings.log.as_str(), settings.log_format), ("info", LogFormat::Text));
    let core = settings.core(4000).unwrap();
    assert!(core.local);
    assert_eq!(core.public_url, "http://localhost:4000");
    assert_eq!(core.service_did.as_str(), "did:web:localhost%3A4000");
    assert_eq!(core.plc, PlcChoice::Embedded);
    for origin in ["http://localhost:4000", "http://127.0.0.1:4000", "http://[::1]:4000"] {
        assert!(core.origins.matches(origin), "{origin}");
    }
    assert!(!core.origins.matches("http://localhost:4001"));
}

#[test]
fn every_name_of_the_loopback_is_local() {
    for name in ["localhost", "LOCALHOST.", "127.0.0.1", "[::1]", "::1", ""] {
        assert!(core(|given| given.hostname = Some(name.to_owned())).unwrap().local, "{name}");
    }
}

#[test]
fn a_public_name_gets_tls_its_own_handles_and_the_public_directory() {
    let core = core(|given| given.hostname = Some("Pds.Example.com".to_owned())).unwrap();
    assert!(!core.local);
    assert_eq!(core.public_url, "https://pds.example.com");
    assert_eq!(core.service_did.as_str(), "did:web:pds.example.com");
    assert_eq!(core.plc, PlcChoice::Url("https://plc.directory".to_owned()));
    assert!(core.origins.matches("https://pds.example.com"));
    assert_eq!(core.handle_domain.claim("alice").unwrap().as_str(), "alice.pds.example.com");
}

#[test]
fn a_directory_that_is_named_is_used_everywhere() {
    for host in ["localhost", "pds.example.com"] {
        let core = core(|given| {
            given.hostname = Some(host.to_owned());
            given.plc_url = Some("http://127.0.0.1:2582/".to_owned());
        });
        assert_eq!(core.unwrap().plc, PlcChoice::Url("http://127.0.0.1:2582".to_owned()));
    }
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    type Change = fn(&mut Given, String);
    let cases: [(Change, &[&str]); 5] = [
        (
            |given, word| given.hostname = Some(word),
            &[
                "https://pds.example.com",
                "pds.example.com:443",
                "192.168.1.5",
                "pds",
                "a..b",
                "-a.example",
                "a b.example",
            ],
        ),
        (|given, word| given.listen = Some(word), &["2583", "localhost", "127.0.0.1:99999"]),
        (
            |given, word| given.plc_url = Some(word),
            &["plc.directory", "ftp://plc.directory", "https://a/?b", "http://"],
        ),
        (|given, word| given.handle_domain = Some(word), &["has space.test", ".."]),
        (|given, word| given.log_format = Some(word), &["xml"]),
    ];
    for (change, words) in cases {
        for word in words {
            let refusal = core(|given| change(given, (*word).to_owned())).unwrap_err();
            assert!(format!("{refusal:#}").contains(word), "{refusal:#}");
        }
    }
}

#[test]
fn the_file_is_under_flags_and_environment_and_unknown_keys_are_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"listen = \"127.0.0.1:1\"\nlog = \"debug\"\nlog_format = \"json\"\n").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let given =
        Given { listen: Some("127.0.0.1:2".to_owned()), log: Some(String::new()), ..Given::default() };
    let settings = given.clone().settle(Some(&path)).unwrap();
    assert_eq!((settings.listen.port(), settings.log.as_str()), (2, "debug"));
    assert_eq!(settings.log_format, LogFormat::Json);

    file.write_all(b"lisen = \"127.0.0.1:1\"\n").unwrap();
    let refusal = format!("{:#}", given.clone().settle(Some(&path)).unwrap_err());
    assert!(refusal.contains("lisen") && refusal.contains(&path), "{refusal}");
    assert!(given.settle(Some("/nowhere/rookery.toml")).is_err());
}
