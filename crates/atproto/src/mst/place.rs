//! Where a store keeps a node.

use crate::data::Cid;

/// The number of a node in its repo's store. Places are given once, ascending, so that nodes made together lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u64);

/// What is known of a node before it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// The hash of its block.
    pub cid: Cid,
    /// Where it is kept; `Place(0)` where only CIDs are known.
    pub place: Place,
}

impl Link {
    /// A link where only CIDs are known.
    pub fn to_cid(cid: Cid) -> Self {
        Self { cid, place: Place(0) }
    }
}

/// Bytes that are no list of places.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of places")]
pub struct PlacesError;

/// A list of places as bytes: LEB128, one after the other.
pub fn encode_places(places: &[Place]) -> Vec<u8> {
    let mut out = Vec::with_capacity(places.len() * 3);
    for Place(place) in places {
        let mut rest = *place;
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                out.push(low & 0x7f);
                break;
            }
            out.push(low | 0x80);
        }
    }
    out
}

/// Reads what [`encode_places`] wrote.
pub fn decode_places(bytes: &[u8]) -> Result<Vec<Place>, PlacesError> {
    let mut places = Vec::new();
    let (mut value, mut shift) = (0u64, 0u32);
    for byte in bytes {
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(shift).filter(|moved| moved >> shift == bits).ok_or(PlacesError)?;
        shift += 7;
        if byte & 0x80 == 0 {
            places.push(Place(value));
            (value, shift) = (0, 0);
        }
    }
    if shift == 0 { Ok(places) } else { Err(PlacesError) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_read_back(places in prop::collection::vec(any::<u64>().prop_map(Place), 0..20)) {
            prop_assert_eq!(decode_places(&encode_places(&places)).unwrap(), places);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode_places(&bytes);
        }
    }

    #[test]
    fn a_cut_number_is_refused() {
        assert_eq!(decode_places(&[0x80]), Err(PlacesError));
        assert_eq!(decode_places(&[0xff; 12]), Err(PlacesError));
    }
}
