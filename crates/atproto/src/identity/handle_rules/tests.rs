use super::*;

fn domain() -> HandleDomain {
    HandleDomain::new(".test").unwrap()
}

#[test]
fn a_name_is_taken_with_or_without_the_domain_and_in_any_case() {
    for requested in ["alice", "alice.test", "Alice", "ALICE.TEST"] {
        assert_eq!(domain().claim(requested).unwrap().as_str(), "alice.test");
    }
    for name in ["abc", "a-b", "a--b", "007", &"x".repeat(63)] {
        assert_eq!(domain().claim(name).unwrap().as_str(), format!("{name}.test"));
    }
}

#[test]
fn a_name_is_3_to_63_characters() {
    for (name, found) in [("", 0), (".test", 0), ("ab", 2), (&*"x".repeat(64), 64)] {
        let refused = HandleClaimError::Length { found, domain: domain() };
        assert_eq!(domain().claim(name), Err(refused), "{name:?}");
    }
}

#[test]
fn a_name_is_letters_digits_and_inner_hyphens() {
    for name in [
        "-abc",
        "abc-",
        "a_b_c",
        "a b c",
        "älice",
        "abc\0",
        "abc\n",
        "a/b",
        "@alice",
        "abc%2e",
        "xn--80ak6aa92e",
        "---",
    ] {
        assert_eq!(domain().claim(name), Err(HandleClaimError::Invalid), "{name:?}");
    }
}

#[test]
fn a_handle_is_one_label_under_the_domain_of_the_host() {
    for name in ["alice.bsky.social", "a.alice.test", "alice.test.", "alice..test", "..", "alice.test.test"] {
        let refused = Err(HandleClaimError::OtherDomain(domain()));
        assert_eq!(domain().claim(name), refused, "{name:?}");
    }
    let handle = |text| Handle::parse(text).unwrap();
    assert!(domain().contains(&handle("alice.test")));
    assert!(!domain().contains(&handle("a.alice.test")));
    assert!(!domain().contains(&handle("alice.example.com")));
}

#[test]
fn reserved_names_are_refused_whatever_their_case() {
    for name in ["admin", "WWW", "xrpc.test", "abuse", "bsky", "mail"] {
        let refused = domain().claim(name).unwrap_err();
        assert!(matches!(refused, HandleClaimError::Reserved(_)), "{name}");
    }
    assert!(domain().claim("administratrix").is_ok());
}

#[test]
fn the_reserved_names_are_sorted_unique_valid_labels() {
    assert!(reserved::RESERVED.is_sorted_by(|left, right| left < right));
    for name in reserved::RESERVED {
        assert!(is_label(name), "{name}");
    }
}

#[test]
fn a_domain_has_its_dot_whether_written_or_not() {
    for (written, suffix) in
        [("test", ".test"), (".test", ".test"), ("Agents.Example.COM", ".agents.example.com")]
    {
        assert_eq!(HandleDomain::new(written).unwrap().as_str(), suffix);
    }
    for bad in ["", ".", "..test", "a..b", "-a.com", "a_b.com", "example.com.", "example.1", "1.2.3.4", "a b"]
    {
        let refused = Err(HandleDomainError::Syntax(bad.to_owned()));
        assert_eq!(HandleDomain::new(bad), refused);
    }
    let refused = Err(HandleDomainError::Disallowed("localhost".to_owned()));
    assert_eq!(HandleDomain::new(".localhost"), refused);
    let long = format!("{}com", "abcdefgh.".repeat(20));
    assert_eq!(HandleDomain::new(&long), Err(HandleDomainError::TooLong(183)));
}
