//! DAG-CBOR straight to JSON: how stored records are answered, so nothing is built in between.

use super::write;
use crate::data::cbor::{CborError, Kind, Limits, Reader, limited};

/// Appends the JSON of a block, the same as that of its value. Checks the block as strictly as decoding it would; when it
/// is refused, `out` is left as it was.
pub fn from_cbor(block: &[u8], out: &mut Vec<u8>) -> Result<(), CborError> {
    let start = out.len();
    let result = whole(block, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn whole(block: &[u8], out: &mut Vec<u8>) -> Result<(), CborError> {
    let mut reader = limited(block, Limits::BLOCK)?;
    // JSON is a little longer than CBOR: quotes, colons, commas.
    out.reserve(block.len() + block.len() / 4);
    item(&mut reader, Limits::BLOCK.depth, out)?;
    reader.finish()
}

fn item(reader: &mut Reader<'_>, left: usize, out: &mut Vec<u8>) -> Result<(), CborError> {
    match reader.peek()? {
        Kind::Int => write::int(reader.int()?, out),
        Kind::Bytes => write::bytes(reader.bytes()?, out),
        Kind::Text => write::text(reader.text()?, out),
        Kind::Link => write::link(&reader.link()?, out),
        Kind::Bool => write::bool(reader.bool()?, out),
        Kind::Array => {
            let left = reader.descend(left, Limits::BLOCK.depth)?;
            out.push(b'[');
            for index in 0..reader.array()? {
                write::separate(index, out);
                item(reader, left, out)?;
            }
            out.push(b']');
        }
        Kind::Map => {
            let left = reader.descend(left, Limits::BLOCK.depth)?;
            let mut previous = None;
            out.push(b'{');
            for index in 0..reader.map()? {
                write::separate(index, out);
                let key = reader.key(previous)?;
                previous = Some(key);
                write::text(key, out);
                out.push(b':');
                item(reader, left, out)?;
            }
            out.push(b'}');
        }
        Kind::Null | Kind::Float | Kind::Other => {
            reader.null()?;
            out.extend_from_slice(b"null");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_appended_and_taken_back_when_the_block_is_refused() {
        let mut out = b"[".to_vec();
        from_cbor(&[0x82, 0x01, 0x61, b'a'], &mut out).unwrap();
        assert_eq!(out, br#"[[1,"a"]"#);
        assert!(from_cbor(&[0x82, 0x01, 0xf9, 0, 0], &mut out).is_err());
        assert!(from_cbor(&[0x01, 0x01], &mut out).is_err());
        assert!(from_cbor(&[0x81; 200], &mut out).is_err());
        assert_eq!(out, br#"[[1,"a"]"#);
    }
}
