//! Unsigned LEB128 as multiformats restricts it: at most 9 bytes, and no longer than needed.

/// What the start of the input holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Varint {
    /// A number and how many bytes it took.
    Value(u64, usize),
    /// More bytes are needed.
    Partial,
    /// Too long, or longer than needed.
    Malformed,
}

/// Appends a number.
pub(super) fn write(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

/// Reads a number from the start of the input.
pub(super) fn read(input: &[u8]) -> Varint {
    let mut value = 0;
    for (at, byte) in input.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let minimal = *byte != 0 || at == 0;
            return if minimal { Varint::Value(value, at + 1) } else { Varint::Malformed };
        }
    }
    if input.len() < 9 { Varint::Partial } else { Varint::Malformed }
}
