use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(uri: &str, origin: &str, path: &str) {
    let expected = Target { origin: origin.into(), path: path.into() };
    assert_eq!(Target::parse(uri), Some(expected), "{uri}");
}

#[test]
fn rfc3986_6_2_examples_are_normalised() {
    // Section 6.2.2's example, with a scheme that is taken here, and those of 6.2.3.
    check("HTTP://a/./b/../b/%63/%7bfoo%7d", "http://a", "/b/c/%7Bfoo%7D");
    for uri in ["http://example.com", "http://example.com/", "http://example.com:/", "http://example.com:80/"]
    {
        check(uri, "http://example.com", "/");
    }
}

#[test]
fn dot_segments_are_removed_as_in_rfc3986_5_2_4() {
    for (path, normal) in [
        ("/a/b/c/./../../g", "/a/g"),
        ("/..", "/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/../../../b", "/b"),
        ("//a", "//a"),
        ("/a//../b", "/a/b"),
        ("/...", "/..."),
        ("/%2e%2E/a", "/a"),
    ] {
        assert_eq!(normal_path(path).as_deref(), Some(normal), "{path}");
    }
}

#[test]
fn reserved_characters_stay_encoded() {
    check("https://h/a%2fb%3f", "https://h", "/a%2Fb%3F");
    check("https://h/a%2Db%5f%7E%41", "https://h", "/a-b_~A");
}

#[test]
fn hosts_and_ports_are_normalised() {
    check("https://[2001:DB8:0::1]:8443/x", "https://[2001:db8::1]:8443", "/x");
    check("https://[::1]", "https://[::1]", "/");
    check("http://h:443", "http://h:443", "/");
    check("https://h:0443?q", "https://h", "/");
}

#[test]
fn what_is_not_a_plain_http_uri_is_refused() {
    for uri in [
        "",
        "/",
        "h/x",
        "//h/x",
        "ftp://h/x",
        "https:/h/x",
        "https:///x",
        "https://:443/",
        "https://u@h/",
        "https://u:1@h/",
        "https://h:65536/",
        "https://h:+1/",
        "https://h:1x/",
        "https://[::1/",
        "https://[h]/",
        "https://h%2e/",
        "https://h/%",
        "https://h/%4",
        "https://h/%zz",
        "https://h/ ",
        "https://h/\u{e9}",
        "https://h\\x/",
        " https://h/",
    ] {
        assert_eq!(Target::parse(uri), None, "{uri}");
    }
}

proptest! {
    #[test]
    fn normal_paths_stay_as_they_are(path in "/([a-c./%25EF~!]|%2[eEfF]){0,30}") {
        if let Some(normal) = normal_path(&path) {
            prop_assert_eq!(normal_path(&normal), Some(normal.clone()));
            prop_assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
        }
    }

    #[test]
    fn any_uri_is_read_without_panic(uri in "(https?://)?.*") {
        let _ = Target::parse(&uri);
    }
}
