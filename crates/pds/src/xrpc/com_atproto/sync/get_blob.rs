//! `com.atproto.sync.getBlob`: the bytes of a blob that a record refers to, or a range of them.
//!
//! The bytes are a stranger's and come from the server's own origin. So they are never rendered: neither guessed to be of
//! another type, nor shown instead of saved, nor run (blob spec, "Security Considerations").

use crate::app::App;
use crate::blob::blob_not_found;
use crate::error::{Error, Result, internal};
use crate::http::conditions::{Asked, asked};
use crate::http::params::Params;
use crate::ports::RepoId;
use crate::repo::read;
use crate::store;
use crate::store::blob::Blob;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{AtIdentifier, Did};
use std::ops::Range;
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let did: Did = params.required("did")?;
    let cid: Cid = params.required("cid")?;
    let (account, blob) = app
        .read(move |sql| {
            let account = read::visible(sql, &AtIdentifier::Did(did))?.id;
            let blob = store::blob::get(sql, account, &cid)?.filter(|blob| blob.referenced);
            Ok((account, blob.ok_or_else(blob_not_found)?))
        })
        .await?;
    let etag = format!("\"{cid}\"");
    let mut asked = asked(&parts.headers, &etag, blob.size);
    if parts.method == Method::HEAD && asked != Asked::NotModified {
        // Only a GET has parts.
        asked = Asked::Whole;
    }
    let mut response = match &asked {
        Asked::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Asked::Unsatisfiable => return unsatisfiable(blob.size),
        Asked::Whole if parts.method == Method::HEAD => Body::empty().into_response(),
        Asked::Whole => bytes(&app, account, &cid, &blob, None).await?.into_response(),
        Asked::Part(range) => {
            let part = bytes(&app, account, &cid, &blob, Some(range.clone())).await?;
            (StatusCode::PARTIAL_CONTENT, part).into_response()
        }
    };
    describe(response.headers_mut(), &cid, &blob, &asked).map_err(internal)?;
    Ok(response)
}

/// Headers of the answer, whichever it is.
fn describe(
    headers: &mut HeaderMap,
    cid: &Cid,
    blob: &Blob,
    asked: &Asked,
) -> Result<(), InvalidHeaderValue> {
    let mut set = |name: HeaderName, value: &str| {
        headers.insert(name, HeaderValue::from_str(value)?);
        Ok(())
    };
    set(header::ETAG, &format!("\"{cid}\""))?;
    set(header::ACCEPT_RANGES, "bytes")?;
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")?;
    let length = match asked {
        Asked::NotModified | Asked::Unsatisfiable => return Ok(()),
        Asked::Whole => blob.size,
        Asked::Part(range) => {
            let last = range.end.saturating_sub(1);
            set(header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", range.start, blob.size))?;
            range.end.saturating_sub(range.start)
        }
    };
    set(header::CONTENT_LENGTH, &length.to_string())?;
    set(header::CONTENT_TYPE, &blob.mime_type)?;
    set(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{cid}\""))
}

/// The bytes out of the store.
async fn bytes(
    app: &App,
    account: RepoId,
    cid: &Cid,
    blob: &Blob,
    range: Option<Range<u64>>,
) -> Result<Body> {
    if let Some(stream) = app.ports.blobs.read(&blob.key, range).await? {
        return Ok(Body::from_stream(stream));
    }
    // It may have been released and collected since its row was read.
    let (cid, key) = (*cid, blob.key.clone());
    let now = app.read(move |sql| Ok(store::blob::get(sql, account, &cid)?)).await?;
    match now {
        Some(blob) if blob.key == key => {
            Err(internal(format!("the blob store has no object {key} of {cid}")))
        }
        _ => Err(blob_not_found()),
    }
}

/// 416.
fn unsatisfiable(size: u64) -> Result<Response> {
    let mut response = Error::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "InvalidRequest",
        format!("The blob has {size} bytes, and none in the range asked for."),
    )
    .into_response();
    let range = HeaderValue::from_str(&format!("bytes */{size}")).map_err(internal)?;
    response.headers_mut().insert(header::CONTENT_RANGE, range);
    Ok(response)
}
