//! Timestamp identifiers (spec: tid): revisions of repositories and the usual keys of records.
//!
//! A TID is a 64-bit number, its top bit zero, then 53 bits of microseconds since 1970 and 10 bits that tell clocks apart,
//! written as 13 characters of an alphabet that sorts like the number.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SyntaxError;

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
const CHARACTERS: usize = 13;
const CLOCK_BITS: u32 = 10;
const CLOCK_MASK: u64 = (1 << CLOCK_BITS) - 1;
const MAX_MICROS: u64 = (1 << 53) - 1;
const MAX: u64 = (1 << 63) - 1;

/// A timestamp identifier. Ordered like its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid(u64);

impl Tid {
    /// The first of all TIDs.
    pub const MIN: Self = Self(0);
    /// The last of all TIDs (in the year 2255).
    pub const MAX: Self = Self(MAX);

    /// The TID of a time (in microseconds since 1970, at most 2^53 - 1) and a clock (its lower 10 bits count).
    #[must_use]
    pub fn new(micros: u64, clock_id: u16) -> Self {
        Self((micros.min(MAX_MICROS) << CLOCK_BITS) | (u64::from(clock_id) & CLOCK_MASK))
    }

    /// The TID of a number, unless its top bit is set.
    #[must_use]
    pub fn from_u64(number: u64) -> Option<Self> {
        (number <= MAX).then_some(Self(number))
    }

    /// The number, which is below 2^63.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Microseconds since 1970. Strangers choose their TIDs freely, so this is a claim, not a time.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0 >> CLOCK_BITS
    }

    /// The clock that made it.
    #[must_use]
    pub fn clock_id(self) -> u16 {
        u16::try_from(self.0 & CLOCK_MASK).unwrap_or_default()
    }

    /// Reads the 13 characters.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let error = |reason| SyntaxError::new("TID", text, reason);
        if text.len() != CHARACTERS {
            return Err(error("a TID has 13 characters, like 3jzfcijpj2z2a"));
        }
        let mut number: u64 = 0;
        for byte in text.bytes() {
            let digit = match byte {
                b'2'..=b'7' => byte - b'2',
                b'a'..=b'z' => byte - b'a' + 6,
                _ => {
                    return Err(error("a TID is written with the characters 2-7 and a-z only"));
                }
            };
            // Thirteen digits are 65 bits. The first digit is 0..=15 when the top bit is zero, so nothing is lost below.
            if number >> 59 != 0 {
                return Err(error("the first character of a TID is one of 234567abcdefghij"));
            }
            number = (number << 5) | u64::from(digit);
        }
        // The syntax allows up to `j`, but then the top bit, which is always zero, would be set.
        Self::from_u64(number)
            .ok_or_else(|| error("the top bit of a TID is zero, so it starts with one of 234567ab"))
    }

    /// The text in ASCII, for writers that want no `String`.
    #[must_use]
    pub fn to_ascii(self) -> [u8; CHARACTERS] {
        let mut text = [b'2'; CHARACTERS];
        let mut number = self.0;
        for character in text.iter_mut().rev() {
            let digit = usize::try_from(number & 31).unwrap_or_default();
            *character = ALPHABET.get(digit).copied().unwrap_or(b'2');
            number >>= 5;
        }
        text
    }
}

impl FromStr for Tid {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Self::parse(text)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

impl fmt::Debug for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tid({self})")
    }
}

impl Serialize for Tid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Tid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Makes TIDs that only go up, whatever the clock of the machine does, from any number of threads.
#[derive(Debug)]
pub struct TidClock {
    clock_id: u16,
    /// The microseconds of the last TID made. Kept as time, not as a TID, so that a step is always one microsecond and
    /// the clock's own bits stay what they are.
    last: AtomicU64,
}

impl TidClock {
    /// A clock with an identifier (its lower 10 bits count), to be chosen at random for each process.
    #[must_use]
    pub fn new(clock_id: u16) -> Self {
        Self { clock_id, last: AtomicU64::new(0) }
    }

    /// A TID for now, above all this clock has made before: when the clock stands still or goes back, the next
    /// microsecond is taken instead. A clock set past the year 2255, where TIDs end, gives [`Tid`]s of that last moment.
    pub fn next(&self, now_micros: u64) -> Tid {
        let step = |last: u64| now_micros.min(MAX_MICROS).max(last + 1);
        // The same arithmetic twice: `fetch_update` gives back what was there, not what it wrote.
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(step(last)));
        Tid::new(step(last.unwrap_or_else(|last| last)), self.clock_id)
    }

    /// A TID for now that is also above `after`, such as the last revision of a repository.
    ///
    /// When `after` lies in the future, the result is just above it and the clock itself does not move: one repository
    /// with a wild revision must not drag all others along. Nothing is above [`Tid::MAX`], which then comes back; the
    /// caller refuses repositories with such revisions.
    pub fn next_after(&self, now_micros: u64, after: Option<Tid>) -> Tid {
        let next = self.next(now_micros);
        match after {
            Some(after) if after >= next => {
                let later = Tid::new(after.micros() + 1, self.clock_id);
                if later > after { later } else { Tid((after.0 + 1).min(MAX)) }
            }
            _ => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_is_all_twos_and_the_layout_is_time_then_clock() {
        assert_eq!(Tid::new(0, 0).to_string(), "2222222222222");
        let tid = Tid::new(1_700_000_000_000_000, 31);
        assert_eq!((tid.micros(), tid.clock_id()), (1_700_000_000_000_000, 31));
        assert!(tid.to_string().ends_with("2z"));
        assert_eq!(Tid::new(u64::MAX, u16::MAX), Tid::MAX);
        assert_eq!(Tid::parse("bzzzzzzzzzzzz").unwrap().to_string(), "bzzzzzzzzzzzz");
        assert_eq!(Tid::MAX.to_string(), "bzzzzzzzzzzzz");
    }

    #[test]
    fn a_clock_goes_up_when_time_stands_still_and_when_it_goes_back() {
        let clock = TidClock::new(5);
        let mut last = clock.next(1000);
        for now in [1000, 1000, 10, 0, 999, 1002, 5000, 4999, MAX_MICROS - 2, 0] {
            let next = clock.next(now);
            assert!(next > last, "{now}");
            assert_eq!(next.clock_id(), 5);
            last = next;
        }
        assert_eq!(clock.next(u64::MAX).micros(), MAX_MICROS);
        assert_eq!(clock.next(u64::MAX).micros(), MAX_MICROS);
    }

    #[test]
    fn a_clock_passes_a_revision_of_the_future_without_being_dragged_along() {
        let clock = TidClock::new(1);
        let future = Tid::new(9_000_000, 700);
        assert_eq!(clock.next_after(1000, Some(future)), Tid::new(9_000_001, 1));
        assert_eq!(clock.next(1000), Tid::new(1001, 1));
        assert_eq!(clock.next_after(2000, Some(Tid::new(5, 3))), Tid::new(2000, 1));
        assert_eq!(clock.next_after(2000, None), Tid::new(2001, 1));
        let nearly_last = Tid::from_u64(MAX - 1).unwrap();
        assert_eq!(clock.next_after(1, Some(nearly_last)), Tid::MAX);
        assert_eq!(clock.next_after(1, Some(Tid::MAX)), Tid::MAX);
    }

    #[test]
    fn threads_never_get_the_same_tid() {
        let clock = TidClock::new(9);
        let made: Vec<Tid> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).map(|_| clock.next(77)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: std::collections::BTreeSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), 2000);
    }

    proptest! {
        #[test]
        fn text_round_trips_and_sorts_like_the_number(a in 0..=MAX, b in 0..=MAX) {
            let (a, b) = (Tid(a), Tid(b));
            prop_assert_eq!(Tid::parse(&a.to_string()), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
