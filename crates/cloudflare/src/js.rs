//! What the runtime has and no crate binds.

use worker::js_sys::{Array, Iterator, Promise, Uint8Array};
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{self, JsCast, UnwrapThrowExt};
use worker::web_sys;

#[wasm_bindgen]
extern "C" {
    /// What requests are sent to: the stub of a Durable Object.
    pub(crate) type Fetcher;

    /// Sends a request, and resolves to the response.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn fetch(this: &Fetcher, request: &web_sys::Request) -> Result<Promise, JsValue>;

    /// What `ctx.storage` is in a Durable Object.
    pub(crate) type Storage;

    /// Its SQLite database.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn sql(this: &Storage) -> Database;

    /// Runs `job` in a transaction, which is rolled back when it throws. What it threw is thrown again.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    pub(crate) fn transaction_sync(
        this: &Storage,
        job: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<JsValue, JsValue>;

    /// When the alarm rings, in milliseconds, or null.
    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    pub(crate) fn get_alarm(this: &Storage) -> Result<Promise, JsValue>;

    /// Sets the alarm, in milliseconds.
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub(crate) fn set_alarm(this: &Storage, time: f64) -> Result<Promise, JsValue>;

    /// What `ctx.storage.sql` is.
    pub(crate) type Database;

    /// Runs a statement with its parameters.
    #[wasm_bindgen(method, catch, variadic)]
    pub(crate) fn exec(this: &Database, sql: &str, params: &Array) -> Result<Cursor, JsValue>;

    /// The rows of a statement.
    pub(crate) type Cursor;

    /// Iterates over the rows as arrays.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn raw(this: &Cursor) -> Result<Iterator, JsValue>;

    /// Rows that the statement has looked at so far, as they are billed.
    #[wasm_bindgen(method, getter, js_name = rowsRead)]
    pub(crate) fn rows_read(this: &Cursor) -> f64;

    /// Rows that the statement has written so far, those of indexes too.
    #[wasm_bindgen(method, getter, js_name = rowsWritten)]
    pub(crate) fn rows_written(this: &Cursor) -> f64;

    /// `crypto.subtle.importKey`.
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    pub(crate) fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    /// `crypto.subtle.verify`.
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    pub(crate) fn verify(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &Uint8Array,
        message: &Uint8Array,
    ) -> Result<Promise, JsValue>;
}

/// The storage of an object.
pub(crate) fn storage_of(state: &worker::State) -> Storage {
    state.as_raw().storage().unwrap_throw().unchecked_into()
}

/// The text of whatever was thrown.
pub(crate) fn text_of(thrown: &JsValue) -> String {
    match thrown.dyn_ref::<worker::js_sys::Error>() {
        Some(error) => error.message().into(),
        None => thrown.as_string().unwrap_or_else(|| format!("{thrown:?}")),
    }
}
