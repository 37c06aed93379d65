//! From the body of a request to a blob that nothing refers to yet.

use super::mime;
use crate::app::App;
use crate::config::limits;
use crate::error::{Error, Result, invalid_request, overloaded, too_many};
use crate::http::auth::{Agent, UsedProof};
use crate::http::body;
use crate::limits::{Full, account_key};
use crate::ports::{RepoId, Sql, Upload};
use crate::repo::commit::require_active;
use crate::store;
use crate::store::account::Status;
use crate::store::blob::Blob;
use axum::body::Body;
use data_encoding::HEXLOWER;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use rookery_atproto::data::Cid;
use rookery_atproto::data::cid::Codec;
use sha2::{Digest, Sha256};

/// Bytes from the beginning that a type is sniffed from.
const SNIFFED: usize = 4 * 1024;
/// What an upload may take whatever its size, in microseconds.
const BEGINNING: u64 = 60 * 1_000_000;

/// What an upload became.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub cid: Cid,
    pub mime_type: String,
    pub size: u64,
}

/// What arrived.
struct Arrived {
    /// The object that it is to be.
    key: String,
    upload: Box<dyn Upload>,
    blob: Uploaded,
}

/// Takes the body of a request as a blob of the agent. The agent's proof is consumed with it.
pub(crate) async fn receive(app: &App, agent: &Agent, parts: &Parts, body: Body) -> Result<Uploaded> {
    body::refuse_encoded(parts)?;
    let declared = mime::declared(&parts.headers)?;
    let announced = body::announced(parts).unwrap_or(0);
    if announced > app.config.blobs.limit {
        return Err(too_large(app));
    }
    let account = agent.account;
    app.read(move |sql| {
        require_active(status(sql, account)?)?;
        require_room(sql, account, announced)
    })
    .await?;
    let _place = app.uploads.enter(Some(account), 1).map_err(too_many_uploads)?;
    agent.client.charge_to(&app.limits.uploads, account_key(account), 1, app.now_micros())?;
    let Arrived { key, upload, blob } = arrive(app, declared, body).await?;

    if let Some(known) = renew(app, agent, &blob).await? {
        return Ok(known);
    }
    let (held, until) = (key.clone(), app.now_micros().saturating_add(limits::BLOB_HOLD));
    app.write(move |sql| Ok(store::blob::hold(sql, &held, until)?)).await?;
    upload.keep().await?;
    let (proof, now) = (agent.proof, app.now_micros());
    let added = app.write(move |sql| add(sql, account, proof, &key, blob, now)).await?;
    added.ok_or_else(|| {
        Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "BlobStoreUnavailable",
            "Storing the blob took too long, and it was given up. Send it again.",
        )
        .because("the hold on the object was over before it was stored")
    })
}

/// Streams the body into the store's hands, hashing it on the way.
async fn arrive(app: &App, declared: Option<String>, mut body: Body) -> Result<Arrived> {
    let key = new_key(app)?;
    let mut upload = app.ports.blobs.receive(&key).await?;
    let (mut hash, mut size, mut beginning) = (Sha256::new(), 0_u64, Vec::new());
    let start = app.now_micros();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| invalid_request("The blob ended early; nothing was stored.").because(error))?;
        let Ok(chunk) = frame.into_data() else { continue };
        size = size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if size > app.config.blobs.limit {
            return Err(too_large(app));
        }
        // A clock that was set back counts as no time.
        require_pace(size, app.now_micros().saturating_sub(start).max(0).unsigned_abs())?;
        hash.update(&chunk);
        if declared.is_none() && beginning.len() < SNIFFED {
            beginning.extend(chunk.iter().take(SNIFFED - beginning.len()));
        }
        upload.write(chunk).await?;
    }
    if size == 0 {
        return Err(invalid_request("The blob is empty. Send its bytes as the body of the request."));
    }
    let cid = Cid::from_digest(Codec::Raw, hash.finalize().into());
    let mime_type = declared.unwrap_or_else(|| mime::sniffed(&beginning).to_owned());
    Ok(Arrived { key, upload, blob: Uploaded { cid, mime_type, size } })
}

/// Who trickles holds up a place that others wait for.
fn require_pace(size: u64, micros: u64) -> Result<()> {
    let allowed = BEGINNING.saturating_add(size.saturating_mul(1_000_000) / limits::UPLOAD_PACE);
    if micros <= allowed {
        return Ok(());
    }
    Err(Error::new(
        StatusCode::REQUEST_TIMEOUT,
        "RequestTimeout",
        format!("The upload is too slow: it must come with at least {} bytes a second.", limits::UPLOAD_PACE),
    ))
}

/// The blob that the account has already, with its time begun anew. What arrived is not needed then.
async fn renew(app: &App, agent: &Agent, blob: &Uploaded) -> Result<Option<Uploaded>> {
    let (account, cid) = (agent.account, blob.cid);
    if app.read(move |sql| Ok(store::blob::get(sql, account, &cid)?)).await?.is_none() {
        return Ok(None);
    }
    let (proof, mime_type, now) = (agent.proof, blob.mime_type.clone(), app.now_micros());
    app.write(move |sql| {
        let known = renewed(sql, account, &cid, &mime_type, now)?;
        if known.is_some() {
            proof.consume(sql)?;
        }
        Ok(known)
    })
    .await
}

fn renewed(sql: &dyn Sql, account: RepoId, cid: &Cid, mime_type: &str, now: i64) -> Result<Option<Uploaded>> {
    store::blob::renew(sql, account, cid, mime_type, now)?;
    let known = store::blob::get(sql, account, cid)?;
    Ok(known.map(|Blob { mime_type, size, .. }| Uploaded { cid: *cid, mime_type, size }))
}

/// Makes a kept object the account's blob. `None` when it was given up meanwhile: then it is garbage again, since it may have
/// come after the delete.
fn add(
    sql: &dyn Sql,
    account: RepoId,
    proof: UsedProof,
    key: &str,
    blob: Uploaded,
    now: i64,
) -> Result<Option<Uploaded>> {
    require_active(status(sql, account)?)?;
    if !store::blob::take_held(sql, key)? {
        store::blob::discard(sql, key)?;
        return Ok(None);
    }
    proof.consume(sql)?;
    // The same bytes may have come twice at once.
    if let Some(known) = renewed(sql, account, &blob.cid, &blob.mime_type, now)? {
        store::blob::discard(sql, key)?;
        return Ok(Some(known));
    }
    require_room(sql, account, blob.size)?;
    store::blob::insert(sql, account, &blob.cid, (key, &blob.mime_type, blob.size), now)?;
    Ok(Some(blob))
}

fn status(sql: &dyn Sql, account: RepoId) -> Result<Status> {
    Ok(store::account::by_id(sql, account)?.map_or(Status::Deleted, |account| account.status))
}

/// Refuses an upload when what no record refers to would be too much with it.
fn require_room(sql: &dyn Sql, account: RepoId, size: u64) -> Result<()> {
    let known = store::blob::unreferenced(sql, account)?;
    if known.count < limits::UNREFERENCED_BLOBS
        && known.bytes.saturating_add(size) <= limits::UNREFERENCED_BYTES
    {
        return Ok(());
    }
    Err(Error::named(
        "BlobQuotaExceeded",
        format!(
            "This account has {} blobs of {} bytes in all that no record refers to; {} blobs and {} bytes are kept. \
             Refer to them from records first, or wait until they are collected.",
            known.count,
            known.bytes,
            limits::UNREFERENCED_BLOBS,
            limits::UNREFERENCED_BYTES
        ),
    ))
}

/// Spread over folders and told apart from every other object there ever was. A store may want to know it before the bytes
/// are there, so it says nothing of them.
fn new_key(app: &App) -> Result<String> {
    let mut unique = [0; 16];
    app.ports.entropy.fill(&mut unique)?;
    let unique = HEXLOWER.encode(&unique);
    let (folder, rest) = unique.split_at_checked(3).unwrap_or((&unique, ""));
    Ok(format!("{folder}/{rest}"))
}

fn too_many_uploads(full: Full) -> Error {
    match full {
        Full::Own => too_many(format!(
            "{} uploads of this account are in progress already. Wait until one has ended.",
            limits::UPLOADS.0
        )),
        Full::All => overloaded(
            "The server takes no more uploads at once; nothing was stored. Try again in a few seconds.",
        ),
    }
}

fn too_large(app: &App) -> Error {
    Error::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "PayloadTooLarge",
        format!("The blob is larger than {} bytes, the most that is taken here.", app.config.blobs.limit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_trickles_is_cut_off_and_who_is_slow_at_first_is_not() {
        assert!(require_pace(1, BEGINNING).is_ok());
        assert!(require_pace(1, BEGINNING + 1_000).is_err());
        let size = 100 * limits::UPLOAD_PACE;
        assert!(require_pace(size, BEGINNING + 100_000_000).is_ok());
        assert!(require_pace(size, BEGINNING + 100_000_001).is_err());
        assert!(require_pace(u64::MAX, u64::MAX).is_err());
    }
}
