//! A value of the data model in memory.

use std::fmt;

use super::cbor::key_order;
use super::cid::Cid;

/// What records, and all that is in them, are made of. There are no floating point numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Explicitly nothing, which is not the same as a missing member.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of 64 signed bits.
    Int(i64),
    /// Unicode text.
    Text(String),
    /// Bytes; `{"$bytes": …}` in JSON.
    Bytes(Vec<u8>),
    /// A reference by hash; `{"$link": …}` in JSON.
    Link(Cid),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(Map),
}

impl Value {
    /// How deep maps and lists are nested: 0 for all else, 1 for an empty map.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(map) => 1 + map.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// The map, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map to change, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The link, if it is one.
    #[must_use]
    pub fn as_link(&self) -> Option<Cid> {
        match self {
            Self::Link(cid) => Some(*cid),
            _ => None,
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Link(_) => "a link",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Cid> for Value {
    fn from(cid: Cid) -> Self {
        Self::Link(cid)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items)
    }
}

/// Values by name, always in the order DAG-CBOR writes them (shorter names first, then by bytes) and without duplicates.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Map {
    entries: Vec<(String, Value)>,
}

/// Two entries of a map have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {0:?} appears twice in one object")]
pub struct DuplicateKey(pub String);

impl Map {
    /// A map with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A map of entries in any order.
    pub fn from_entries(mut entries: Vec<(String, Value)>) -> Result<Self, DuplicateKey> {
        entries.sort_by(|(left, _), (right, _)| key_order(left, right));
        let twice = entries.array_windows().find(|[(left, _), (right, _)]| left == right);
        match twice {
            Some([(key, _), _]) => Err(DuplicateKey(key.clone())),
            None => Ok(Self { entries }),
        }
    }

    /// A map of entries already in order and distinct, as a strict reader gives them.
    pub(crate) fn from_ordered(entries: Vec<(String, Value)>) -> Self {
        debug_assert!(entries.is_sorted_by(|(left, _), (right, _)| key_order(left, right).is_lt()));
        Self { entries }
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.find(key).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// Sets the value of this name and gives back the one before it.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => self.entries.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes out the value of this name.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key).ok()?;
        Some(self.entries.remove(at).1)
    }

    /// Names and values in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| key_order(other, key))
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_canonical_order_whatever_the_order_of_edits() {
        let mut map = Map::new();
        for key in ["bb", "a", "ccc", "b", "", "aa", "é"] {
            assert_eq!(map.insert(key, 1), None);
        }
        assert_eq!(map.insert("aa", 2), Some(Value::Int(1)));
        assert_eq!(map.remove("bb"), Some(Value::Int(1)));
        assert_eq!(map.remove("bb"), None);
        let keys: Vec<_> = map.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["", "a", "b", "aa", "é", "ccc"]);
        assert_eq!(map.get("aa"), Some(&Value::Int(2)));
        assert_eq!(map.get("zz"), None);
    }

    #[test]
    fn entries_with_the_same_name_make_no_map() {
        let entry = |key: &str| (key.to_owned(), Value::Null);
        assert!(Map::from_entries(vec![entry("b"), entry("a")]).is_ok());
        let twice = Map::from_entries(vec![entry("b"), entry("a"), entry("b")]);
        assert_eq!(twice, Err(DuplicateKey("b".to_owned())));
    }

    #[test]
    fn depth_counts_maps_and_lists() {
        assert_eq!(Value::Null.depth(), 0);
        assert_eq!(Value::List(vec![]).depth(), 1);
        let mut map = Map::new();
        map.insert("a", vec![Value::Map(Map::new())]);
        map.insert("b", 1);
        assert_eq!(Value::Map(map).depth(), 3);
    }
}
