//! The alarm of an object: what wakes it when nobody asks for anything. There is one at a time, and setting it is billed as a
//! row, so it is set once for a while of activity.

use crate::js::{Storage, text_of};
use rookery_pds::error::{Result, internal};
use std::cell::Cell;
use std::time::Duration;
use worker::js_sys::Date;
use worker::wasm_bindgen_futures::JsFuture;

pub(crate) struct Alarm {
    storage: Storage,
    /// When it rings, in milliseconds; none when it is not set.
    at: Cell<Option<f64>>,
}

impl Alarm {
    /// As it was left by an earlier life of the object.
    pub(crate) async fn of(storage: Storage) -> Result<Self> {
        let read = async { JsFuture::from(storage.get_alarm()?).await };
        let at = read.await.map_err(|thrown| internal(text_of(&thrown)))?.as_f64();
        Ok(Self { storage, at: Cell::new(at) })
    }

    /// Rings within this time. It may ring earlier, for another reason.
    ///
    /// Whoever sees what is written afterwards sees this too: the runtime commits both in order, and ends the object when it
    /// cannot.
    pub(crate) fn within(&self, time: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970, far below 2^53")]
        let latest = Date::now() + time.as_millis() as f64;
        if self.at.get().is_some_and(|at| at <= latest) {
            return;
        }
        match self.storage.set_alarm(latest) {
            Ok(_) => self.at.set(Some(latest)),
            Err(thrown) => tracing::error!(error = text_of(&thrown), "the alarm cannot be set"),
        }
    }

    /// It rings now, and is not set any more.
    pub(crate) fn rings(&self) {
        self.at.set(None);
    }
}
