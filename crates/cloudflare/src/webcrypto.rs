//! Signature checks by WebCrypto.
//!
//! An imported key is kept, since reading an RSA key costs more than checking a signature with it. Only keys that have signed
//! something are kept: a stranger fills the memory no faster than by signing.

use crate::js::{self, text_of};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rookery_auth::jwk::PublicJwk;
use rookery_auth::jws::{Alg, SignatureCheck};
use rookery_pds::ports::Verify;
use std::cell::RefCell;
use std::collections::VecDeque;
use worker::js_sys::{Array, JSON, Uint8Array};
use worker::send::{SendFuture, SendWrapper};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::JsFuture;

/// Keys kept. An object has one agent, with one key.
const KEYS: usize = 4;

/// Signature checks of the runtime.
#[derive(Default)]
pub(crate) struct WebCrypto {
    keys: SendWrapper<RefCell<VecDeque<(PublicJwk, JsValue)>>>,
}

impl Verify for WebCrypto {
    fn verify(&self, check: SignatureCheck) -> BoxFuture<'_, bool> {
        SendFuture::new(async move {
            let outcome = self.check(&check).await;
            outcome.unwrap_or_else(|thrown| {
                tracing::debug!(cause = text_of(&thrown), "a key or a signature cannot be used");
                false
            })
        })
        .boxed()
    }
}

impl WebCrypto {
    async fn check(&self, check: &SignatureCheck) -> Result<bool, JsValue> {
        if check.alg != check.key.alg() {
            return Ok(false);
        }
        let kept = self.kept(&check.key);
        let key = match &kept {
            Some(key) => key.clone(),
            None => import(&check.key).await?,
        };
        let (signature, message) = (Uint8Array::from(&*check.signature), Uint8Array::from(&*check.message));
        let valid = js::verify(&algorithm(check.alg)?, &key, &signature, &message)?;
        let valid = JsFuture::from(valid).await?.is_truthy();
        if valid && kept.is_none() {
            self.keep(&check.key, key);
        }
        Ok(valid)
    }

    fn kept(&self, key: &PublicJwk) -> Option<JsValue> {
        self.keys.borrow().iter().find(|(known, _)| known == key).map(|(_, imported)| imported.clone())
    }

    fn keep(&self, key: &PublicJwk, imported: JsValue) {
        let mut keys = self.keys.borrow_mut();
        keys.truncate(KEYS - 1);
        keys.push_front((key.clone(), imported));
    }
}

async fn import(key: &PublicJwk) -> Result<JsValue, JsValue> {
    let jwk = JSON::parse(&key.to_json().to_string())?;
    let usages = Array::of1(&JsValue::from_str("verify"));
    JsFuture::from(js::import_key("jwk", &jwk, &algorithm(key.alg())?, false, &usages)?).await
}

/// The parameters of both importing and verifying.
fn algorithm(alg: Alg) -> Result<JsValue, JsValue> {
    JSON::parse(match alg {
        Alg::Rs256 => r#"{"name":"RSASSA-PKCS1-v1_5","hash":"SHA-256"}"#,
        Alg::Es256 => r#"{"name":"ECDSA","namedCurve":"P-256","hash":"SHA-256"}"#,
        Alg::EdDsa => r#"{"name":"Ed25519"}"#,
    })
}
