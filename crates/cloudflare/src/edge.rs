//! What answers first. It decides which object a request belongs to, and hands it on whole.

use worker::wasm_bindgen::prelude::*;
use worker::{Env, Request, wasm_bindgen, wasm_bindgen_futures, web_sys};

/// Handles a request from the network.
#[wasm_bindgen]
pub async fn fetch(request: web_sys::Request, env: Env) -> Result<web_sys::Response, JsValue> {
    let account = env.durable_object("ACCOUNT")?.get_by_name("all")?;
    let response = account.fetch_with_request(Request::from(request)).await?;
    Ok(response.into())
}
