//! Places for what is in progress, bounded for each key and for all: connections of an address, uploads of an account, bytes of
//! request bodies in memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many places there are.
#[derive(Debug)]
pub struct Places<K> {
    taken: Arc<Mutex<Taken<K>>>,
    /// Of one key.
    own: usize,
    /// Of all.
    all: usize,
}

/// Places that are taken. A mutex, held for one look-up and never across an await. Only keys that hold one are in memory.
#[derive(Debug)]
struct Taken<K> {
    by_key: HashMap<K, usize>,
    in_all: usize,
}

/// Some places; free again when dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash + Copy> {
    taken: Arc<Mutex<Taken<K>>>,
    key: Option<K>,
    held: usize,
    bounds: (usize, usize),
}

/// Whose places are all taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Those of this key.
    Own,
    /// Those of all.
    All,
}

impl<K: Eq + Hash + Copy> Places<K> {
    /// At most `own` for each key and `all` together.
    pub fn new(own: usize, all: usize) -> Self {
        let taken = Taken { by_key: HashMap::new(), in_all: 0 };
        Self { taken: Arc::new(Mutex::new(taken)), own, all }
    }

    /// Takes `count` places. Without a key they count among all only.
    pub fn enter(&self, key: Option<K>, count: usize) -> Result<Place<K>, Full> {
        let mut place = self.none(key);
        place.grow(count)?;
        Ok(place)
    }

    /// Takes none yet.
    pub fn none(&self, key: Option<K>) -> Place<K> {
        Place { taken: Arc::clone(&self.taken), key, held: 0, bounds: (self.own, self.all) }
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).in_all
    }
}

impl<K: Eq + Hash + Copy> Place<K> {
    /// Takes `count` more.
    pub fn grow(&mut self, count: usize) -> Result<(), Full> {
        let (own, all) = self.bounds;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mine =
            self.key.and_then(|key| taken.by_key.get(&key)).copied().unwrap_or(0).saturating_add(count);
        if self.key.is_some() && mine > own {
            return Err(Full::Own);
        }
        let in_all = taken.in_all.saturating_add(count);
        if in_all > all {
            return Err(Full::All);
        }
        taken.in_all = in_all;
        if let Some(key) = self.key {
            taken.by_key.insert(key, mine);
        }
        self.held = self.held.saturating_add(count);
        Ok(())
    }
}

impl<K: Eq + Hash + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all = taken.in_all.saturating_sub(self.held);
        let Some(key) = self.key else { return };
        let left = taken.by_key.get(&key).copied().unwrap_or(0).saturating_sub(self.held);
        if left == 0 {
            taken.by_key.remove(&key);
        } else {
            taken.by_key.insert(key, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_each_key_and_for_all_and_come_back() {
        let places = Places::new(2, 3);
        let first = places.enter(Some(1), 2).unwrap();
        assert_eq!(places.enter(Some(1), 1).err(), Some(Full::Own));
        let mut second = places.none(Some(2));
        second.grow(1).unwrap();
        assert_eq!(second.grow(1).err(), Some(Full::All));
        assert_eq!(places.enter(None, 1).err(), Some(Full::All));
        drop(first);
        second.grow(1).unwrap();
        assert_eq!(second.grow(1).err(), Some(Full::Own));
        // Who has no key is bounded by the rest only.
        let whole = Places::<u8>::new(1, 3);
        let all = whole.enter(None, 3).unwrap();
        drop((second, all));
        assert_eq!((places.taken(), whole.taken()), (0, 0));
        assert!(places.taken.lock().unwrap().by_key.is_empty());
    }
}
