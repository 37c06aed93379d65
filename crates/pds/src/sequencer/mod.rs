//! The firehose: events enter the log in the transaction of what they tell, and leave it in order.
//!
//! Terms: an *event* is a row of the log; a *frame* is an event with its `seq`, ready to be sent; a *position* is a place in
//! the log, after an event. A host reads frames from the [`Log`] and keeps a [`Subscriber`] for each connection. No
//! other order is needed than that of `seq`: an event is in the log when the transaction of its commit is, and
//! transactions of writes follow one another.
//!
//! Where accounts have stores of their own, the log of each is what has yet to be *delivered* to the [`SharedLog`], which gives
//! events their final `seq`.

mod delivery;
pub(crate) mod emit;
mod log;
mod shared;
mod subscriber;

pub use crate::store::event::{Ends, Position};
pub use delivery::{Delivered, Delivery, DeliveryError};
pub use log::{Frame, Log, Page};
pub use shared::SharedLog;
pub use subscriber::{Start, Subscriber};

use crate::error::{Result, invalid_request};
use crate::http::params::Params;
use http::request::Parts;

/// The `cursor` of a request: the `seq` after which to start.
pub fn cursor(parts: &Parts) -> Result<Option<i64>> {
    let params = Params::of(parts)?;
    let Some(text) = params.given("cursor") else { return Ok(None) };
    // Digits alone: `parse` would take a sign too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(cursor) if digits => Ok(Some(cursor)),
        _ => Err(invalid_request(format!(
            "The cursor {text:?} is not one: it is the seq of the last event that was seen. Leave it out to start now."
        ))),
    }
}
