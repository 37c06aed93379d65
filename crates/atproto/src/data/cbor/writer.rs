//! Writing DAG-CBOR item by item.

use crate::data::Cid;

/// Appends items in their shortest form.
///
/// The caller keeps the promises a flat writer cannot check: as many items after [`array`](Self::array) and pairs after
/// [`map`](Self::map) as announced, and map keys as text in canonical order (shorter first, then by bytes).
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// A writer that appends to what is there.
    #[must_use]
    pub fn onto(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// What was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// A non-negative integer.
    pub fn uint(&mut self, value: u64) {
        self.head(0, value);
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        if value < 0 {
            // -1 - value, which in two's complement is the complement.
            self.head(1, (!value).cast_unsigned());
        } else {
            self.head(0, value.cast_unsigned());
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.head(2, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A text string, also for map keys.
    pub fn text(&mut self, value: &str) {
        self.head(3, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Starts a list of `items` items.
    pub fn array(&mut self, items: usize) {
        self.head(4, items as u64);
    }

    /// Starts a map of `pairs` keys and values.
    pub fn map(&mut self, pairs: usize) {
        self.head(5, pairs as u64);
    }

    /// A link: tag 42 over a zero byte and the CID.
    pub fn link(&mut self, cid: &Cid) {
        self.out.extend_from_slice(&[0xd8, 0x2a, 0x58, 0x25, 0x00]);
        self.out.extend_from_slice(cid.as_bytes());
    }

    /// A link, or null where there is none.
    pub fn link_or_null(&mut self, cid: Option<&Cid>) {
        match cid {
            Some(cid) => self.link(cid),
            None => self.null(),
        }
    }

    /// `null`.
    pub fn null(&mut self) {
        self.out.push(0xf6);
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.out.push(if value { 0xf5 } else { 0xf4 });
    }

    /// An item (or several) that is encoded already.
    pub fn encoded(&mut self, items: &[u8]) {
        self.out.extend_from_slice(items);
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        if let Ok(byte) = u8::try_from(value) {
            if byte < 24 {
                self.out.push(major | byte);
            } else {
                self.out.extend_from_slice(&[major | 24, byte]);
            }
        } else if let Ok(short) = u16::try_from(value) {
            self.out.push(major | 25);
            self.out.extend_from_slice(&short.to_be_bytes());
        } else if let Ok(word) = u32::try_from(value) {
            self.out.push(major | 26);
            self.out.extend_from_slice(&word.to_be_bytes());
        } else {
            self.out.push(major | 27);
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }
}
