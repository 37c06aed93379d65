//! Time, randomness and terms.

use rookery_pds::ports::{Clock, Entropy, EntropyError, TermsSource};
use rookery_pds::terms::Terms;
use std::sync::Arc;
use worker::js_sys::Date;

/// The time of the event that is handled. It stands still while code runs, so that nobody can time others with it.
pub(crate) struct EventClock;

impl Clock for EventClock {
    fn now_micros(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970, in a whole number")]
        let millis = Date::now() as i64;
        millis.saturating_mul(1_000)
    }
}

/// `crypto.getRandomValues`.
pub(crate) struct CryptoEntropy;

impl Entropy for CryptoEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(buffer).map_err(|error| EntropyError(error.to_string()))
    }
}

/// The terms of this version of the Worker: others come with a new one.
pub(crate) struct FixedTerms(pub(crate) Arc<Terms>);

impl TermsSource for FixedTerms {
    fn current(&self) -> Result<Arc<Terms>, String> {
        Ok(Arc::clone(&self.0))
    }
}
