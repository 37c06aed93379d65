//! The operating system's randomness.

use rookery_pds::ports::{Entropy, EntropyError};

/// `getrandom` and its likes.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(buffer).map_err(|error| EntropyError(error.to_string()))
    }
}
