use super::*;

#[test]
fn the_first_origin_is_canonical() {
    let origins = Origins::new(&["HTTPS://PDS.example:443/", "http://127.0.0.1:2583"]).unwrap();
    assert_eq!(origins.canonical(), "https://pds.example");
    assert_eq!(origins.iter().collect::<Vec<_>>(), ["https://pds.example", "http://127.0.0.1:2583"]);
}

#[test]
fn spellings_of_an_origin_match_and_other_origins_do_not() {
    let origins = Origins::new(&["https://pds.example", "http://localhost:2583"]).unwrap();
    for same in
        ["https://pds.example", "https://pds.example/", "HTTPS://pds.EXAMPLE:443", "http://localhost:2583"]
    {
        assert!(origins.matches(same), "{same}");
    }
    for other in [
        "https://pds.example//",
        "https://pds.example/x",
        "https://pds.example?",
        "https://pds.example#",
        "http://pds.example",
        "https://pds.example:8443",
        "https://a.pds.example",
        "https://pds.example.",
        "pds.example",
        "",
        "/",
        "https://",
    ] {
        assert!(!origins.matches(other), "{other}");
    }
}

#[test]
fn what_is_not_an_origin_is_refused() {
    assert_eq!(Origins::new(&[]), Err(OriginError::Empty));
    for wrong in ["pds.example", "https://pds.example/x", "ws://pds.example", "https://u@pds.example"] {
        assert_eq!(Origins::new(&[wrong]), Err(OriginError::Invalid(wrong.into())));
    }
}
