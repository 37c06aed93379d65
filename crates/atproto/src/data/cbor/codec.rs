//! Whole values to and from DAG-CBOR.

use super::{CborError, CborFault, Kind, Reader, Writer};
use crate::data::{Map, Value};

/// Room made ahead for the items of a list or map. An announced count is not believed: nested heads could each announce as
/// many items as there are bytes left.
const ROOM_AHEAD: usize = 16;

/// How much of a stranger's bytes is worth reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest input in bytes.
    pub bytes: usize,
    /// The deepest nesting of maps and lists. Reading recurses this deep.
    pub depth: usize,
}

impl Limits {
    /// Above everything the network allows: a block of at most 2 MiB, nested at most 128 deep. One byte of input takes
    /// at most some 100 bytes of memory as a value.
    pub const BLOCK: Self = Self { bytes: 2 * 1024 * 1024, depth: 128 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::BLOCK
    }
}

/// The encoding of a value.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let mut writer = Writer::new();
    write_value(value, &mut writer);
    writer.into_bytes()
}

/// Reads a value within [`Limits::BLOCK`].
pub fn decode(block: &[u8]) -> Result<Value, CborError> {
    decode_with(block, Limits::BLOCK)
}

/// Reads a value within the given limits.
pub fn decode_with(block: &[u8], limits: Limits) -> Result<Value, CborError> {
    let mut reader = limited(block, limits)?;
    let value = read_value(&mut reader, limits.depth, limits.depth)?;
    reader.finish()?;
    Ok(value)
}

/// Checks that `block` would decode within the given limits, without building the value.
pub fn validate(block: &[u8], limits: Limits) -> Result<(), CborError> {
    let mut reader = limited(block, limits)?;
    reader.skip(limits.depth)?;
    reader.finish()
}

/// A reader of input that is not too long.
pub(crate) fn limited(block: &[u8], limits: Limits) -> Result<Reader<'_>, CborError> {
    if block.len() > limits.bytes {
        return Err(CborError { position: limits.bytes, fault: CborFault::TooLong(limits.bytes) });
    }
    Ok(Reader::new(block))
}

/// Writes a value as part of something larger.
pub fn write_value(value: &Value, writer: &mut Writer) {
    match value {
        Value::Null => writer.null(),
        Value::Bool(value) => writer.bool(*value),
        Value::Int(value) => writer.int(*value),
        Value::Text(text) => writer.text(text),
        Value::Bytes(bytes) => writer.bytes(bytes),
        Value::Link(cid) => writer.link(cid),
        Value::List(items) => {
            writer.array(items.len());
            for item in items {
                write_value(item, writer);
            }
        }
        Value::Map(map) => {
            writer.map(map.len());
            for (key, value) in map.iter() {
                writer.text(key);
                write_value(value, writer);
            }
        }
    }
}

fn read_value(reader: &mut Reader<'_>, left: usize, depth: usize) -> Result<Value, CborError> {
    Ok(match reader.peek()? {
        Kind::Int => Value::Int(reader.int()?),
        Kind::Bytes => Value::Bytes(reader.bytes()?.to_vec()),
        Kind::Text => Value::Text(reader.text()?.to_owned()),
        Kind::Link => Value::Link(reader.link()?),
        Kind::Bool => Value::Bool(reader.bool()?),
        Kind::Array => {
            let left = reader.descend(left, depth)?;
            let count = reader.array()?;
            let mut items = Vec::with_capacity(count.min(ROOM_AHEAD));
            for _ in 0..count {
                items.push(read_value(reader, left, depth)?);
            }
            Value::List(items)
        }
        Kind::Map => {
            let left = reader.descend(left, depth)?;
            let count = reader.map()?;
            let mut entries = Vec::with_capacity(count.min(ROOM_AHEAD));
            let mut previous = None;
            for _ in 0..count {
                let key = reader.key(previous)?;
                previous = Some(key);
                entries.push((key.to_owned(), read_value(reader, left, depth)?));
            }
            Value::Map(Map::from_ordered(entries))
        }
        // Asking for null also tells floats and unknown simple values apart.
        Kind::Null | Kind::Float | Kind::Other => {
            reader.null()?;
            Value::Null
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> CborFault {
        let error = decode(bytes).unwrap_err();
        assert_eq!(validate(bytes, Limits::BLOCK), Err(error.clone()), "{bytes:02x?}");
        error.fault
    }

    #[test]
    fn integers_take_their_shortest_form_up_to_64_signed_bits() {
        for (int, bytes) in [
            (0, vec![0x00]),
            (23, vec![0x17]),
            (24, vec![0x18, 24]),
            (255, vec![0x18, 255]),
            (256, vec![0x19, 1, 0]),
            (65536, vec![0x1a, 0, 1, 0, 0]),
            (1 << 32, vec![0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
            (i64::MAX, vec![0x1b, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
            (-1, vec![0x20]),
            (-25, vec![0x38, 24]),
            (i64::MIN, vec![0x3b, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            assert_eq!(encode(&Value::Int(int)), bytes);
            assert_eq!(decode(&bytes), Ok(Value::Int(int)));
        }
        assert_eq!(fault(&[0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0]), CborFault::IntegerRange);
        assert_eq!(fault(&[0x3b, 255, 255, 255, 255, 255, 255, 255, 255]), CborFault::IntegerRange);
    }

    #[test]
    fn heads_longer_than_needed_are_refused() {
        for bytes in [
            &[0x18, 23][..],
            &[0x19, 0, 255],
            &[0x1a, 0, 0, 255, 255],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
            &[0x38, 23],
            &[0x58, 1, 0],
            &[0x78, 1, b'a'],
            &[0x98, 0],
            &[0xb8, 0],
            &[0x1c],
            &[0x1e],
        ] {
            assert_eq!(fault(bytes), CborFault::NotMinimal, "{bytes:02x?}");
        }
    }

    #[test]
    fn indefinite_lengths_floats_simple_values_and_tags_are_refused() {
        for first in [0x5f, 0x7f, 0x9f, 0xbf, 0xff] {
            assert_eq!(fault(&[first, 0xff]), CborFault::Indefinite, "{first:02x}");
        }
        for bytes in [&[0xf9, 0, 0][..], &[0xfa, 0, 0, 0, 0], &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(fault(bytes), CborFault::Float, "{bytes:02x?}");
        }
        for bytes in [&[0xf7][..], &[0xe0], &[0xf8, 0x20], &[0xf8, 21], &[0xfc]] {
            assert_eq!(fault(bytes), CborFault::Simple, "{bytes:02x?}");
        }
        assert_eq!(fault(&[0xc1, 0]), CborFault::Tag(1));
        assert_eq!(fault(&[0xd8, 0x2a, 0x61, b'a']), CborFault::LinkForm);
        assert_eq!(fault(&[0xd8, 0x2a, 0x40]), CborFault::LinkForm);
        assert_eq!(fault(&[0xd8, 0x2a, 0xd8, 0x2a, 0x41, 0]), CborFault::LinkForm);
        assert!(matches!(fault(&[0xd8, 0x2a, 0x42, 0, 1]), CborFault::Link(_)));
    }

    #[test]
    fn map_keys_must_be_text_in_order_and_distinct() {
        assert!(decode(&[0xa2, 0x61, b'b', 0, 0x62, b'a', b'a', 0]).is_ok());
        assert_eq!(fault(&[0xa2, 0x62, b'a', b'a', 0, 0x61, b'b', 0]), CborFault::KeyOrder);
        assert_eq!(fault(&[0xa2, 0x61, b'b', 0, 0x61, b'a', 0]), CborFault::KeyOrder);
        assert_eq!(fault(&[0xa2, 0x61, b'a', 0, 0x61, b'a', 0]), CborFault::DuplicateKey);
        assert!(matches!(fault(&[0xa1, 0x01, 0x01]), CborFault::Unexpected { .. }));
    }

    #[test]
    fn the_place_of_the_fault_is_told() {
        let error = decode(&[0x82, 0x01, 0xf9, 0, 0]).unwrap_err();
        assert_eq!(error.position, 2);
        assert_eq!(error.to_string(), "invalid DAG-CBOR at byte 2: floating point numbers are not allowed");
    }

    #[test]
    fn trailing_bytes_truncation_and_bad_utf8_are_refused() {
        assert_eq!(fault(&[0x01, 0x01]), CborFault::Trailing);
        for bytes in [&[][..], &[0x18], &[0x62, b'a'], &[0x82, 0x01], &[0xa1, 0x61, b'a']] {
            assert_eq!(fault(bytes), CborFault::Truncated, "{bytes:02x?}");
        }
        assert_eq!(fault(&[0x61, 0xff]), CborFault::Utf8);
        assert_eq!(fault(&[0x63, 0xed, 0xa0, 0x80]), CborFault::Utf8, "a lone surrogate");
    }

    #[test]
    fn counts_that_the_input_cannot_hold_are_refused_before_anything_is_made() {
        for major in [0x5b, 0x7b, 0x9b, 0xbb] {
            assert_eq!(fault(&[major, 0x10, 0, 0, 0, 0, 0, 0, 0]), CborFault::Truncated);
            assert_eq!(fault(&[major, 255, 255, 255, 255, 255, 255, 255, 255]), CborFault::Truncated);
        }
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| [vec![0x81; depth - 1], vec![0x80]].concat();
        assert!(decode(&nested(128)).is_ok());
        assert_eq!(fault(&nested(129)), CborFault::TooDeep(128));
        assert_eq!(fault(&vec![0x81; 1_000_000]), CborFault::TooDeep(128));
        let maps = [0xa1, 0x60].repeat(1000);
        assert_eq!(fault(&maps), CborFault::TooDeep(128));
        let flat = Limits { bytes: 4, depth: 0 };
        assert!(validate(&[0x61, b'a'], flat).is_ok());
        assert_eq!(validate(&[0x80], flat).unwrap_err().fault, CborFault::TooDeep(0));
        assert_eq!(validate(&[0; 5], flat).unwrap_err().fault, CborFault::TooLong(4));
    }
}
