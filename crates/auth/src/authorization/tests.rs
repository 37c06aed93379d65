use proptest::prelude::*;

use super::*;

fn token<'a>(values: &[&'a str]) -> Result<&'a str, AuthorizationError> {
    dpop_token(values.iter().map(|value| value.as_bytes()))
}

fn proof<'a>(values: &[&'a str]) -> Result<&'a str, AuthorizationError> {
    single_proof(values.iter().map(|value| value.as_bytes()))
}

#[test]
fn the_token_follows_the_scheme_in_any_case() {
    for value in ["DPoP a.b.c", "dpop a.b.c", "DPOP   a.b.c "] {
        assert_eq!(token(&[value]), Ok("a.b.c"), "{value}");
    }
}

#[test]
fn exactly_one_authorization_is_taken() {
    assert_eq!(token(&[]), Err(AuthorizationError::Missing));
    assert_eq!(token(&["DPoP a", "DPoP a"]), Err(AuthorizationError::Several));
}

#[test]
fn another_scheme_is_named() {
    assert_eq!(token(&["Bearer a.b.c"]), Err(AuthorizationError::NotDpop("bearer".into())));
    assert_eq!(token(&["Basic YTpi"]), Err(AuthorizationError::NotDpop("basic".into())));
}

#[test]
fn what_has_no_scheme_and_token_is_malformed() {
    for value in
        ["", "DPoP", "DPoP ", "a.b.c", "eyJhbGciOiJub25lIn0.e30. x", "DPoP a b", "DPoP a,b", "DPoP \u{e9}"]
    {
        assert_eq!(token(&[value]), Err(AuthorizationError::Malformed), "{value}");
    }
    assert_eq!(dpop_token([b"DPoP \xff".as_slice()].into_iter()), Err(AuthorizationError::Malformed));
}

#[test]
fn exactly_one_proof_is_taken() {
    assert_eq!(proof(&["a.b.c"]), Ok("a.b.c"));
    assert_eq!(proof(&[]), Err(AuthorizationError::MissingProof));
    for several in [&["a.b.c", "a.b.c"][..], &["a.b.c, a.b.c"], &["a.b.c,a.b.c"]] {
        assert_eq!(proof(several), Err(AuthorizationError::SeveralProofs));
    }
    for malformed in ["", "a b", "\u{e9}"] {
        assert_eq!(proof(&[malformed]), Err(AuthorizationError::MalformedProof));
    }
}

#[test]
fn what_is_too_long_is_named() {
    let fits = "a".repeat(MAX_COMPACT_BYTES);
    assert!(token(&[&format!("DPoP {fits}")]).is_ok());
    assert!(proof(&[&fits]).is_ok());
    assert_eq!(token(&[&format!("DPoP {fits}a")]), Err(AuthorizationError::TooLong("access token")));
    assert_eq!(proof(&[&format!("{fits}a")]), Err(AuthorizationError::TooLong("DPoP proof")));
}

proptest! {
    #[test]
    fn reading_any_headers_does_not_panic(values in prop::collection::vec(any::<Vec<u8>>(), 0..3), text in "(dpop |DPoP)?.*") {
        let _ = dpop_token(values.iter().map(Vec::as_slice));
        let _ = single_proof(values.iter().map(Vec::as_slice));
        let _ = (token(&[&text]), proof(&[&text]));
    }
}
