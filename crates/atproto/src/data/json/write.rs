//! Values to JSON.

use std::io::Write as _;

use data_encoding::BASE64_NOPAD;

use crate::data::{Cid, Value};

/// Appends a value as JSON.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => bool(*value, out),
        Value::Int(value) => int(*value, out),
        Value::Text(value) => text(value, out),
        Value::Bytes(value) => bytes(value, out),
        Value::Link(cid) => link(cid, out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(index, out);
                write(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, value)) in map.iter().enumerate() {
                separate(index, out);
                text(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// A value as JSON text.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = Vec::new();
    write(value, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

pub(super) fn bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

pub(super) fn int(value: i64, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

pub(super) fn link(cid: &Cid, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$link":""#);
    out.extend_from_slice(&cid.to_ascii());
    out.extend_from_slice(br#""}"#);
}

pub(super) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$bytes":""#);
    let start = out.len();
    out.resize(start + BASE64_NOPAD.encode_len(value.len()), 0);
    if let Some(base64) = out.get_mut(start..) {
        BASE64_NOPAD.encode_mut(value, base64);
    }
    out.extend_from_slice(br#""}"#);
}

/// Text in quotes, escaped only where it must be (RFC 8259, section 7): quote, backslash and control characters.
pub(super) fn text(value: &str, out: &mut Vec<u8>) {
    out.reserve(value.len() + 2);
    out.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let Some((plain, [byte, after @ ..])) = rest.split_at_checked(at) else {
            break;
        };
        out.extend_from_slice(plain);
        escape(*byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            let _ = write!(out, "\\u{byte:04x}");
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::json::parse;

    #[test]
    fn values_become_the_shortest_json() {
        let json = r#"{"a":{"$bytes":"AAEC/w"},"b":[1,-2,null,true,false,"x"],"c":{},"dd":[]}"#;
        assert_eq!(to_string(&parse(json.as_bytes(), 9).unwrap()), json);
    }

    #[test]
    fn text_is_escaped_as_serde_json_escapes_it() {
        let all: String = (0..0x180).filter_map(char::from_u32).chain("\u{2028}😀\"\\".chars()).collect();
        assert_eq!(to_string(&Value::Text(all.clone())), serde_json::to_string(&all).unwrap());
    }
}
