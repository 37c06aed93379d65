//! JSON to values.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use data_encoding::{BASE64_NOPAD, DecodeError, Encoding};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::data::{Cid, Map, Value};

/// The deepest nesting [`parse`] can be asked for; the JSON reader beneath stops there.
pub const MAX_DEPTH: usize = 126;

/// Input that is not JSON, or not of the data model. The message says what and where.
#[derive(Debug, thiserror::Error)]
#[error("invalid JSON: {0}")]
pub struct JsonError(#[from] serde_json::Error);

/// Reads a value nested at most `max_depth` deep ([`MAX_DEPTH`] when larger). The caller bounds the length of the input;
/// the value takes at most some 50 bytes of memory per byte of it.
pub fn parse(input: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    let error = match read(input, max_depth) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match without_zero_fractions(input) {
        Some(integers) => read(&integers, max_depth),
        None => Err(error),
    }
}

fn read(input: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    let depth = max_depth.min(MAX_DEPTH);
    let mut deserializer = serde_json::Deserializer::from_slice(input);
    let value = ValueSeed { left: depth, depth }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads any value with `left` of `depth` levels still allowed.
#[derive(Clone, Copy)]
struct ValueSeed {
    left: usize,
    depth: usize,
}

impl ValueSeed {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(E::custom(format_args!(
                "objects and lists are nested deeper than the {} levels allowed",
                self.depth
            ))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the atproto data model")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(|_| not_an_integer())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(not_an_integer())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut key: Option<String> = map.next_key()?;
        match key.as_deref() {
            Some("$link") => return read_link(map).map(Value::Link),
            Some("$bytes") => return read_bytes(map).map(Value::Bytes),
            _ => {}
        }
        let inner = self.inner()?;
        let mut entries = Vec::new();
        while let Some(name) = key {
            if name == "$link" || name == "$bytes" {
                return Err(not_alone(&name));
            }
            entries.push((name, map.next_value_seed(inner)?));
            key = map.next_key()?;
        }
        Map::from_entries(entries).map(Value::Map).map_err(A::Error::custom)
    }
}

fn read_link<'de, A: MapAccess<'de>>(mut map: A) -> Result<Cid, A::Error> {
    let text = map.next_value_seed(TextSeed("`$link` to be a CID as text"))?;
    let cid = text.parse().map_err(|error| A::Error::custom(format_args!("`$link`: {error}")))?;
    end_of(map, "$link")?;
    Ok(cid)
}

fn read_bytes<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<u8>, A::Error> {
    let text = map.next_value_seed(TextSeed("`$bytes` to be base64 as text"))?;
    let bytes = decode_base64(&text).map_err(|error| {
        A::Error::custom(format_args!("`$bytes` must be base64 of the standard alphabet: {error}"))
    })?;
    end_of(map, "$bytes")?;
    Ok(bytes)
}

/// Padding may be left out (spec: data-model, "bytes"), but not be wrong.
fn decode_base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    let unpadded = match text.strip_suffix('=') {
        Some(text_but_one) if text.len().is_multiple_of(4) => {
            text_but_one.strip_suffix('=').unwrap_or(text_but_one)
        }
        _ => text,
    };
    BASE64_ANY_BITS.decode(unpadded.as_bytes())
}

/// Base64 that lets the unused bits of the last character be anything, as the protocol's test vectors do.
static BASE64_ANY_BITS: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.encoding().unwrap_or(BASE64_NOPAD)
});

fn end_of<'de, A: MapAccess<'de>>(mut map: A, name: &str) -> Result<(), A::Error> {
    match map.next_key::<String>()? {
        None => Ok(()),
        Some(_) => Err(not_alone(name)),
    }
}

fn not_alone<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("an object with `{name}` must have no other member"))
}

fn not_an_integer<E: serde::de::Error>() -> E {
    E::custom(
        "numbers must be integers of 64 signed bits: floating point numbers (1.5, 1e3) and larger integers are not \
         allowed, send them as text",
    )
}

/// Reads text and says what was expected otherwise.
struct TextSeed(&'static str);

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

/// The input with `12.00` written as `12` and `-0` as `0`, blanks in place of what goes, if that changes anything.
///
/// The reader beneath tells both as floating point numbers, in which `12.0` cannot be told from `1.2e1` or
/// `12.00000000000000000001` any more. So they are rewritten in the text, where the rule is exact, and only when plain
/// reading failed: nobody else pays.
fn without_zero_fractions(input: &[u8]) -> Option<Vec<u8>> {
    let mut output = input.to_vec();
    let mut rest = output.as_mut_slice();
    let mut changed = false;
    while let Some((first, after)) = rest.split_first() {
        let length = match first {
            b'"' => 1 + string_length(after),
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => 1,
        };
        let Some((token, after)) = rest.split_at_mut_checked(length) else {
            break;
        };
        changed |= blank_zeros(token);
        rest = after;
    }
    changed.then_some(output)
}

/// The length of the rest of a string, its closing quote included.
fn string_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    let end = rest.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |end| end + 1)
}

fn number_length(rest: &[u8]) -> usize {
    let in_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    rest.iter().position(|byte| !in_number(byte)).unwrap_or(rest.len())
}

/// Blanks the fraction of zeros of a number and the sign of a negative zero; tells whether there was one.
fn blank_zeros(token: &mut [u8]) -> bool {
    let dot = token.iter().position(|byte| *byte == b'.').unwrap_or(token.len());
    let Some((integer, fraction)) = token.split_at_mut_checked(dot) else {
        return false;
    };
    let zeros = match fraction {
        [_, zeros @ ..] => !zeros.is_empty() && zeros.iter().all(|byte| *byte == b'0'),
        [] => false,
    };
    if zeros {
        fraction.fill(b' ');
    }
    let negative_zero = integer == b"-0" && (zeros || fraction.is_empty());
    if negative_zero {
        integer.copy_from_slice(b" 0");
    }
    zeros || negative_zero
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        parse(json.as_bytes(), 64).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    fn refused(json: impl AsRef<[u8]>) -> String {
        match parse(json.as_ref(), 64) {
            Ok(value) => panic!("{:?} was accepted as {value:?}", String::from_utf8_lossy(json.as_ref())),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn links_and_bytes_are_told_from_maps() {
        let cid = Cid::raw(b"x");
        assert_eq!(value(&format!(r#"{{"$link":"{cid}"}}"#)), Value::Link(cid));
        for text in ["AAEC/w", "AAEC/w==", "AAEC//"] {
            assert_eq!(value(&format!(r#"{{"$bytes":"{text}"}}"#)), Value::Bytes(vec![0, 1, 2, 255]));
        }
        assert_eq!(value(r#"{"$bytes":""}"#), Value::Bytes(vec![]));
        assert_eq!(value(r#"{"\u0024bytes":"\u0041A=="}"#), Value::Bytes(vec![0]));
    }

    #[test]
    fn malformed_links_and_bytes_are_refused() {
        let cid = Cid::raw(b"x");
        assert!(refused(r#"{"$link":"."}"#).contains("base32"));
        assert!(refused(r#"{"$link":5}"#).contains("`$link` to be a CID as text"));
        assert!(refused(format!(r#"{{"$link":"{cid}","a":1}}"#)).contains("no other member"));
        assert!(refused(format!(r#"{{"a":1,"$link":"{cid}"}}"#)).contains("no other member"));
        assert!(refused(format!(r#"{{"$link":"{cid}","$link":"{cid}"}}"#)).contains("no other member"));
        for text in ["A", "AA=", "AAE-_w", "A===", "AA===", "AAAA====", "AA=A", " AA"] {
            assert!(refused(format!(r#"{{"$bytes":"{text}"}}"#)).contains("base64"), "{text}");
        }
        assert!(refused(r#"{"$bytes":{"$bytes":""}}"#).contains("`$bytes` to be base64"));
    }

    #[test]
    fn integers_have_64_signed_bits() {
        assert_eq!(value("9223372036854775807"), Value::Int(i64::MAX));
        assert_eq!(value("-9223372036854775808"), Value::Int(i64::MIN));
        for json in ["9223372036854775808", "18446744073709551616", "-9223372036854775809"] {
            assert!(refused(json).contains("64 signed bits"), "{json}");
        }
    }

    #[test]
    fn floating_point_numbers_are_refused_but_not_a_fraction_of_zeros() {
        for json in
            ["1.5", "1e3", "1E0", "1.0e0", "123.0000000000000000001", "-0.5", "0.99999999999999999999"]
        {
            assert!(refused(json).contains("integers"), "{json}");
        }
        for json in ["NaN", "Infinity", "1.", ".0", "01.0", "1.0.0", "+1.0", "-", "1.0x", "1e400"] {
            refused(json);
        }
        assert_eq!(value("123.0"), Value::Int(123));
        assert_eq!(value("[-0, -0.00, -7.0, 0.0]"), value("[0,0,-7,0]"));
        assert_eq!(value("9223372036854775807.0"), Value::Int(i64::MAX));
        assert_eq!(value(r#"{"1.0":"1.0 \" 2.0","a":1.0}"#), value(r#"{"1.0":"1.0 \" 2.0","a":1}"#));
        assert!(refused("[1.0, 1.5]").ends_with("at line 1 column 9"), "{}", refused("[1.0, 1.5]"));
    }

    #[test]
    fn duplicate_members_are_refused_however_they_are_written() {
        assert!(refused(r#"{"a":1,"b":2,"a":3}"#).contains("\"a\" appears twice"));
        refused(r#"{"a":1,"\u0061":2}"#);
        refused(r#"{"x":{"a":1,"a":1}}"#);
    }

    #[test]
    fn broken_text_and_trailing_data_are_refused() {
        refused(r#""\ud800""#);
        refused(r#""\udc00\ud800""#);
        refused(r#"{"\ud800":1}"#);
        refused(b"\"\xff\"");
        refused(b"{\"\xed\xa0\x80\":1}");
        refused("\"a\nb\"");
        refused("\u{feff}{}");
        for json in ["", "{} {}", "{}x", "[1,]", "{'a':1}", "{\"a\":}", "nul", "{\"a\":1"] {
            refused(json);
        }
        assert_eq!(value(r#""\ud83d\ude00\u0000""#), Value::Text("😀\0".to_owned()));
    }

    #[test]
    fn nesting_ends_at_the_limit_and_links_add_nothing() {
        let nested = |depth: usize, core: &str| format!("{}{core}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(value(&nested(64, "1")).depth(), 64);
        assert!(refused(nested(65, "1")).contains("64 levels"));
        let link = format!(r#"{{"$link":"{}"}}"#, Cid::raw(b"x"));
        assert_eq!(value(&nested(64, &link)).depth(), 64);
        refused(nested(64, "{}"));
        refused("[".repeat(1_000_000));
        refused("{\"a\":".repeat(100_000));
        assert_eq!(parse(nested(MAX_DEPTH, &link).as_bytes(), usize::MAX).unwrap().depth(), MAX_DEPTH);
        assert!(parse(nested(MAX_DEPTH + 1, "1").as_bytes(), usize::MAX).is_err());
    }
}
