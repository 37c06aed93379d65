use proptest::prelude::*;

use super::*;
use crate::testing::{forge, is_valid};

const RFC7515_PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn octets<const N: usize>(text: &str) -> [u8; N] {
    encoding::decode_array(text).unwrap()
}

#[track_caller]
fn accepts(jws: &str, key: &PublicJwk) {
    let jws = Compact::parse_untyped(jws).unwrap();
    jws.check_key(key).unwrap();
    let mut check = jws.signature_check(key);
    assert!(is_valid(&check));
    check.message[0] ^= 1;
    assert!(!is_valid(&check));
}

#[test]
fn rfc7515_a2_rs256_verifies() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let key = PublicJwk::Rsa { n: encoding::decode(n).unwrap().into(), e: Box::new([1, 0, 1]) };
    accepts(&format!("eyJhbGciOiJSUzI1NiJ9.{RFC7515_PAYLOAD}.{signature}"), &key);
}

#[test]
fn rfc7515_a3_es256_verifies() {
    let key = PublicJwk::P256 {
        x: octets("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        y: octets("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    };
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let jws = format!("eyJhbGciOiJFUzI1NiJ9.{RFC7515_PAYLOAD}.{signature}");
    accepts(&jws, &key);
    assert_eq!(Compact::parse(&jws, "wm+jwt").unwrap_err(), JwsError::Type("wm+jwt"));
}

#[test]
fn rfc7515_a5_none_is_refused() {
    let error = Compact::parse_untyped(&format!("eyJhbGciOiJub25lIn0.{RFC7515_PAYLOAD}.")).unwrap_err();
    assert_eq!(error, JwsError::Alg(AlgError::Unsigned));
}

#[test]
fn critical_extensions_are_refused() {
    let crit = forge(r#"{"alg":"ES256","typ":"wm+jwt","crit":["exp"],"exp":1363284000}"#, "{}");
    assert_eq!(Compact::parse(&crit, "wm+jwt").unwrap_err(), JwsError::Extension("crit"));
    let b64 = forge(r#"{"alg":"ES256","typ":"wm+jwt","b64":true}"#, "{}");
    assert_eq!(Compact::parse(&b64, "wm+jwt").unwrap_err(), JwsError::Extension("b64"));
}

#[test]
fn only_three_algorithms_have_names() {
    for alg in [Alg::Rs256, Alg::Es256, Alg::EdDsa] {
        assert_eq!(alg.as_str().parse(), Ok(alg));
    }
    assert_eq!("nOnE".parse::<Alg>(), Err(AlgError::Unsigned));
    assert_eq!("HS256".parse::<Alg>(), Err(AlgError::Symmetric("HS256".into())));
    for other in ["RS512", "PS256", "rs256", "ES256K", ""] {
        assert_eq!(other.parse::<Alg>(), Err(AlgError::Unsupported(other.into())));
    }
}

#[test]
fn the_type_is_a_media_type() {
    for typ in ["wm+jwt", "WM+JWT", "application/wm+jwt", "Application/Wm+Jwt"] {
        let jws = forge(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#), "{}");
        assert!(Compact::parse(&jws, "wm+jwt").is_ok(), "{typ}");
    }
    for typ in ["\"jwt\"", "\"JWT\"", "\"dpop+jwt\"", "\"text/wm+jwt\"", "\"wm+jwt \"", "null", "1"] {
        let jws = forge(&format!(r#"{{"alg":"ES256","typ":{typ}}}"#), "{}");
        assert_eq!(Compact::parse(&jws, "wm+jwt").unwrap_err(), JwsError::Type("wm+jwt"), "{typ}");
    }
}

#[test]
fn form_is_strict() {
    let good = forge(r#"{"alg":"ES256"}"#, "{}");
    let (header, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let refused = |jws: String| Compact::parse_untyped(&jws).unwrap_err();
    assert!(Compact::parse_untyped(&good).is_ok());
    for parts in
        [header.to_owned(), format!("{header}.{payload}"), format!("{good}.{signature}"), String::new()]
    {
        assert_eq!(refused(parts), JwsError::Parts);
    }
    assert_eq!(refused(format!("{header}.{payload}.{signature}=")), JwsError::Base64("signature"));
    assert_eq!(refused(format!("{header} .{payload}.{signature}")), JwsError::Base64("header"));
    // `e30` is `{}`; `e31` decodes to the same with a stray bit.
    assert_eq!(refused(format!("{header}.e31.{signature}")), JwsError::Base64("payload"));
    assert_eq!(refused("a".repeat(MAX_COMPACT_BYTES + 1)), JwsError::TooLong);
    let twice = forge(r#"{"alg":"ES256","alg":"ES256"}"#, "{}");
    assert!(matches!(refused(twice), JwsError::Json { part: "header", .. }));
    let twice = forge(r#"{"alg":"ES256"}"#, r#"{"cnf":{"jkt":1,"jkt":1}}"#);
    assert!(matches!(refused(twice), JwsError::Json { part: "payload", .. }));
    assert_eq!(refused(forge("{}", "{}")), JwsError::NoAlg);
}

#[test]
fn the_key_decides_the_algorithm_and_the_length() {
    let jws = Compact::parse_untyped(&forge(r#"{"alg":"ES256"}"#, "{}")).unwrap();
    let ed25519 = PublicJwk::Ed25519 { x: [1; 32] };
    assert_eq!(jws.check_key(&ed25519), Err(JwsError::AlgOfKey { found: Alg::Es256, key: Alg::EdDsa }));
    let rsa = PublicJwk::Rsa { n: vec![0xff; 512].into(), e: Box::new([3]) };
    let jws = Compact::parse_untyped(&forge(r#"{"alg":"RS256"}"#, "{}")).unwrap();
    assert_eq!(jws.check_key(&rsa), Err(JwsError::SignatureLength { found: 64, expected: 512 }));
}

proptest! {
    #[test]
    fn reading_any_text_does_not_panic(text in ".*") {
        let _ = Compact::parse_untyped(&text);
    }

    #[test]
    fn reading_any_parts_does_not_panic(header in any::<Vec<u8>>(), payload in ".*") {
        let encoded = format!("{}.{}.", encoding::encode(&header), encoding::encode(payload.as_bytes()));
        let _ = Compact::parse_untyped(&encoded);
        let _ = Compact::parse_untyped(&forge(r#"{"alg":"ES256"}"#, &payload));
    }
}
