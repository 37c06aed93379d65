//! Answers.

use crate::ports::ByteStream;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use rookery_atproto::car::MEDIA_TYPE;
use serde::Serialize;

/// Any serializable value as JSON.
pub(crate) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => json_bytes(bytes),
            Err(error) => crate::error::internal(error).into_response(),
        }
    }
}

/// JSON that is written already.
pub(crate) fn json_bytes(bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A CAR that is as long as it takes.
pub(crate) fn car_stream(chunks: ByteStream) -> Response {
    car(Body::from_stream(chunks))
}

/// A CAR.
pub(crate) fn car(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

/// Plain text of a content type.
pub(crate) fn text(content_type: &'static str, text: impl Into<String>) -> Response {
    let mut response = Response::new(Body::from(text.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
