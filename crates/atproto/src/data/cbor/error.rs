//! What can be wrong with CBOR, and where.

use crate::data::CidError;

/// Bytes that are not the one DAG-CBOR encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid DAG-CBOR at byte {position}: {fault}")]
pub struct CborError {
    /// Where the offending item starts, counted from the first byte of the input.
    pub position: usize,
    /// What is wrong with it.
    pub fault: CborFault,
}

/// What is wrong with an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborFault {
    /// The input ends inside an item.
    #[error("the data ends too early")]
    Truncated,
    /// Bytes follow the value.
    #[error("more data follows the value")]
    Trailing,
    /// The input is longer than the caller allows.
    #[error("the data is longer than the {0} bytes allowed")]
    TooLong(usize),
    /// Maps and lists are nested deeper than the caller allows.
    #[error("maps and lists are nested deeper than the {0} levels allowed")]
    TooDeep(usize),
    /// A length or integer is not written in its shortest form.
    #[error("a number or length is not in its shortest form")]
    NotMinimal,
    /// An item of indefinite length.
    #[error("indefinite lengths are not allowed")]
    Indefinite,
    /// A floating point number.
    #[error("floating point numbers are not allowed")]
    Float,
    /// `undefined` or another simple value.
    #[error("only true, false and null are allowed as simple values")]
    Simple,
    /// A tag that is not 42.
    #[error("tag {0} is not allowed, only 42 (link)")]
    Tag(u64),
    /// Tag 42 over something else than a zero byte and a CID.
    #[error("a link must be a byte string of a zero byte and a CID")]
    LinkForm,
    /// Tag 42 over a CID that is not allowed.
    #[error("the CID of a link is invalid: {0}")]
    Link(#[from] CidError),
    /// Text that is not UTF-8.
    #[error("text is not valid UTF-8")]
    Utf8,
    /// An integer that does not fit 64 signed bits.
    #[error("the integer does not fit 64 signed bits")]
    IntegerRange,
    /// Map keys that do not go up (shorter first, then by bytes).
    #[error("map keys are not in canonical order (shorter first, then by bytes)")]
    KeyOrder,
    /// The same key twice in a map.
    #[error("a map has the same key twice")]
    DuplicateKey,
    /// Another kind of item than the reader asked for.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What the reader asked for.
        expected: &'static str,
        /// What is there.
        found: Kind,
    },
    /// Another map key than the reader asked for.
    #[error("expected the key {0:?}")]
    ExpectedKey(&'static str),
}

/// The kinds of item DAG-CBOR knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer, positive or negative.
    Int,
    /// A byte string.
    Bytes,
    /// A text string.
    Text,
    /// A list.
    Array,
    /// A map.
    Map,
    /// A CID under tag 42.
    Link,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// A floating point number, always refused.
    Float,
    /// Another simple value, always refused.
    Other,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Int => "an integer",
            Self::Bytes => "bytes",
            Self::Text => "text",
            Self::Array => "a list",
            Self::Map => "a map",
            Self::Link => "a link",
            Self::Bool => "a boolean",
            Self::Null => "null",
            Self::Float => "a floating point number",
            Self::Other => "an unknown simple value",
        })
    }
}
