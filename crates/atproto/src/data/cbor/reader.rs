//! Reading DAG-CBOR item by item, strictly.

use super::error::{CborError, CborFault, Kind};
use crate::data::Cid;
use crate::data::cid::CID_BYTES;

const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_TEXT: u8 = 3;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;
const MAJOR_TAG: u8 = 6;
const MAJOR_SIMPLE: u8 = 7;

const FALSE: u64 = 20;
const TRUE: u64 = 21;
const NULL: u64 = 22;
const TAG_LINK: u64 = 42;

/// A pull reader over bytes. It borrows text and bytes from its input and allocates nothing.
///
/// Every head is checked to be minimal and definite, links to be allowed CIDs, text to be UTF-8. Announced lengths are
/// checked against what is left of the input, so a count can be trusted as a bound: [`array`](Self::array) and
/// [`map`](Self::map) never announce more items than there are bytes left. Map keys are the caller's to ask for, with
/// [`key`](Self::key) or [`expect_key`](Self::expect_key), which check their order.
///
/// After an error the reader stands somewhere inside the input and must not be used further.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

struct Head {
    major: u8,
    value: u64,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// The offset of the next item.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The kind of the next item, without reading it.
    pub fn peek(&self) -> Result<Kind, CborError> {
        let at = self.position;
        let first = *self.input.get(at).ok_or_else(|| truncated(at))?;
        Ok(kind_of(first >> 5, first & 0x1f))
    }

    /// An integer that fits 64 signed bits.
    pub fn int(&mut self) -> Result<i64, CborError> {
        let head = self.head_of("an integer", |major| major <= MAJOR_NEGATIVE)?;
        let value = i64::try_from(head.value).map_err(|_| fault(head.at, CborFault::IntegerRange))?;
        Ok(if head.major == MAJOR_NEGATIVE { !value } else { value })
    }

    /// An integer that is not negative.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        let at = self.position;
        let value = self.int()?;
        u64::try_from(value).map_err(|_| fault(at, CborFault::IntegerRange))
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let head = self.head_of("bytes", |major| major == MAJOR_BYTES)?;
        self.take(&head)
    }

    /// A text string.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let head = self.head_of("text", |major| major == MAJOR_TEXT)?;
        let bytes = self.take(&head)?;
        std::str::from_utf8(bytes).map_err(|_| fault(head.at, CborFault::Utf8))
    }

    /// The start of a list; as many items follow as this says.
    pub fn array(&mut self) -> Result<usize, CborError> {
        let head = self.head_of("a list", |major| major == MAJOR_ARRAY)?;
        self.count(&head, 1)
    }

    /// The start of a map; as many keys and values follow as this says.
    pub fn map(&mut self) -> Result<usize, CborError> {
        let head = self.head_of("a map", |major| major == MAJOR_MAP)?;
        self.count(&head, 2)
    }

    /// A map key, which must come after `previous` (the key read before it in the same map) in canonical order.
    pub fn key(&mut self, previous: Option<&str>) -> Result<&'a str, CborError> {
        let at = self.position;
        let key = self.text()?;
        match previous.map(|previous| super::key_order(previous, key)) {
            None | Some(std::cmp::Ordering::Less) => Ok(key),
            Some(std::cmp::Ordering::Equal) => Err(fault(at, CborFault::DuplicateKey)),
            Some(std::cmp::Ordering::Greater) => Err(fault(at, CborFault::KeyOrder)),
        }
    }

    /// A map key that can only be `key`: for structures with fixed keys, read in canonical order.
    pub fn expect_key(&mut self, key: &'static str) -> Result<(), CborError> {
        let at = self.position;
        if self.text()? == key { Ok(()) } else { Err(fault(at, CborFault::ExpectedKey(key))) }
    }

    /// A link.
    pub fn link(&mut self) -> Result<Cid, CborError> {
        let head = self.head_of("a link", |major| major == MAJOR_TAG)?;
        if head.value != TAG_LINK {
            return Err(fault(head.at, CborFault::Tag(head.value)));
        }
        if !matches!(self.peek(), Ok(Kind::Bytes)) {
            return Err(fault(head.at, CborFault::LinkForm));
        }
        match self.bytes()?.split_first() {
            Some((0, cid)) if cid.len() <= CID_BYTES => {
                Cid::from_bytes(cid).map_err(|error| fault(head.at, CborFault::Link(error)))
            }
            _ => Err(fault(head.at, CborFault::LinkForm)),
        }
    }

    /// A link or null.
    pub fn link_or_null(&mut self) -> Result<Option<Cid>, CborError> {
        if self.peek()? == Kind::Null {
            self.null()?;
            return Ok(None);
        }
        self.link().map(Some)
    }

    /// `null`.
    pub fn null(&mut self) -> Result<(), CborError> {
        let head = self.head_of("null", |major| major == MAJOR_SIMPLE)?;
        if head.value == NULL { Ok(()) } else { Err(self.unexpected(head.at, "null")) }
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, CborError> {
        let head = self.head_of("a boolean", |major| major == MAJOR_SIMPLE)?;
        match head.value {
            FALSE => Ok(false),
            TRUE => Ok(true),
            _ => Err(self.unexpected(head.at, "a boolean")),
        }
    }

    /// Reads one item with all that is in it, as strictly as if it were decoded, and gives its bytes. `depth` bounds the
    /// maps and lists in it.
    pub fn skip(&mut self, depth: usize) -> Result<&'a [u8], CborError> {
        let start = self.position;
        self.walk(depth, depth)?;
        self.input.get(start..self.position).ok_or_else(|| truncated(start))
    }

    /// Checks that nothing follows.
    pub fn finish(self) -> Result<(), CborError> {
        if self.position == self.input.len() {
            Ok(())
        } else {
            Err(fault(self.position, CborFault::Trailing))
        }
    }

    fn walk(&mut self, left: usize, depth: usize) -> Result<(), CborError> {
        match self.peek()? {
            Kind::Int => self.int().map(drop),
            Kind::Bytes => self.bytes().map(drop),
            Kind::Text => self.text().map(drop),
            Kind::Link => self.link().map(drop),
            Kind::Bool => self.bool().map(drop),
            Kind::Array => {
                let left = self.descend(left, depth)?;
                for _ in 0..self.array()? {
                    self.walk(left, depth)?;
                }
                Ok(())
            }
            Kind::Map => {
                let left = self.descend(left, depth)?;
                let mut previous = None;
                for _ in 0..self.map()? {
                    previous = Some(self.key(previous)?);
                    self.walk(left, depth)?;
                }
                Ok(())
            }
            Kind::Null | Kind::Float | Kind::Other => self.null(),
        }
    }

    /// The levels left inside the map or list that comes next, of `depth` in all.
    pub(crate) fn descend(&self, left: usize, depth: usize) -> Result<usize, CborError> {
        left.checked_sub(1).ok_or_else(|| fault(self.position, CborFault::TooDeep(depth)))
    }

    fn head_of(&mut self, expected: &'static str, wanted: impl Fn(u8) -> bool) -> Result<Head, CborError> {
        let head = self.head()?;
        if wanted(head.major) { Ok(head) } else { Err(self.unexpected(head.at, expected)) }
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let at = self.position;
        let first = self.byte()?;
        let (major, info) = (first >> 5, first & 0x1f);
        if major == MAJOR_SIMPLE {
            return match u64::from(info) {
                value @ (FALSE | TRUE | NULL) => Ok(Head { major, value, at }),
                25..=27 => Err(fault(at, CborFault::Float)),
                31 => Err(fault(at, CborFault::Indefinite)),
                _ => Err(fault(at, CborFault::Simple)),
            };
        }
        let (value, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (u64::from(self.byte()?), 24),
            25 => (u64::from(u16::from_be_bytes(self.array_of()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.array_of()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.array_of()?), 1 << 32),
            31 => return Err(fault(at, CborFault::Indefinite)),
            _ => return Err(fault(at, CborFault::NotMinimal)),
        };
        if value < least {
            return Err(fault(at, CborFault::NotMinimal));
        }
        Ok(Head { major, value, at })
    }

    fn byte(&mut self) -> Result<u8, CborError> {
        self.array_of::<1>().map(|[byte]| byte)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let bytes = self.rest().first_chunk::<N>().copied().ok_or_else(|| truncated(self.position))?;
        self.position += N;
        Ok(bytes)
    }

    fn take(&mut self, head: &Head) -> Result<&'a [u8], CborError> {
        let bytes = usize::try_from(head.value)
            .ok()
            .and_then(|length| self.rest().get(..length))
            .ok_or_else(|| truncated(head.at))?;
        self.position += bytes.len();
        Ok(bytes)
    }

    fn count(&self, head: &Head, least_bytes_each: usize) -> Result<usize, CborError> {
        usize::try_from(head.value)
            .ok()
            .filter(|count| *count <= self.rest().len() / least_bytes_each)
            .ok_or_else(|| truncated(head.at))
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    /// Another kind than asked for. What is wrong with it in itself (a float, say) goes first.
    fn unexpected(&self, at: usize, expected: &'static str) -> CborError {
        let found = self.input.get(at).map_or(Kind::Other, |first| kind_of(first >> 5, first & 0x1f));
        fault(at, CborFault::Unexpected { expected, found })
    }
}

fn kind_of(major: u8, info: u8) -> Kind {
    match (major, info) {
        (0 | 1, _) => Kind::Int,
        (MAJOR_BYTES, _) => Kind::Bytes,
        (MAJOR_TEXT, _) => Kind::Text,
        (MAJOR_ARRAY, _) => Kind::Array,
        (MAJOR_MAP, _) => Kind::Map,
        (MAJOR_TAG, _) => Kind::Link,
        (_, 20 | 21) => Kind::Bool,
        (_, 22) => Kind::Null,
        (_, 25..=27) => Kind::Float,
        _ => Kind::Other,
    }
}

fn truncated(position: usize) -> CborError {
    fault(position, CborFault::Truncated)
}

fn fault(position: usize, fault: CborFault) -> CborError {
    CborError { position, fault }
}
