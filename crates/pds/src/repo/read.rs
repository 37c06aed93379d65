//! Reads of records.

use crate::app::App;
use crate::config::limits;
use crate::error::{Error, Result, internal, record_not_found, repo_not_found};
use crate::ports::{Sql, SqlError};
use crate::store;
use crate::store::account::{Account, Status};
use crate::store::record::{Page, Record};
use rookery_atproto::data::{Cid, json};
use rookery_atproto::syntax::{AtIdentifier, Did, Nsid, RecordKey};

/// The account that a `repo` parameter names.
pub(crate) fn find(sql: &dyn Sql, repo: &AtIdentifier) -> Result<Account> {
    let account = match repo {
        AtIdentifier::Did(did) => store::account::by_did(sql, did)?,
        AtIdentifier::Handle(handle) => store::account::by_handle(sql, handle)?,
    };
    account.ok_or_else(|| repo_not_found(repo))
}

/// The account that a `repo` parameter names, if its repo is served.
pub(crate) fn visible(sql: &dyn Sql, repo: &AtIdentifier) -> Result<Account> {
    let account = find(sql, repo)?;
    match account.status {
        Status::Active => Ok(account),
        Status::Deactivated => {
            Err(Error::named("RepoDeactivated", format!("The repo of {repo} is deactivated.")))
        }
        Status::Suspended => Err(Error::named("RepoSuspended", format!("The repo of {repo} is suspended."))),
        Status::Takendown => {
            Err(Error::named("RepoTakendown", format!("The repo of {repo} has been taken down.")))
        }
        Status::Deleted => Err(repo_not_found(repo)),
    }
}

/// One record and whose it is. A repo that is not here has no records.
pub(crate) async fn record(
    app: &App,
    repo: AtIdentifier,
    collection: Nsid,
    rkey: RecordKey,
) -> Result<(Did, Record)> {
    app.read(move |sql| {
        let missing = || record_not_found(&repo, &collection, &rkey);
        let account = visible(sql, &repo)
            .map_err(|error| if error.name == "RepoNotFound" { missing() } else { error })?;
        let record = store::record::get(sql, account.id, &collection, &rkey)?.ok_or_else(missing)?;
        Ok((account.did, record))
    })
    .await
}

/// The JSON answer of `listRecords`, written straight from the rows. A page of large records ends early: it is made in memory.
pub(crate) async fn page(
    app: &App,
    repo: AtIdentifier,
    collection: Nsid,
    limit: i64,
    cursor: Option<String>,
    ascending: bool,
) -> Result<Vec<u8>> {
    app.read(move |sql| {
        let account = visible(sql, &repo).map_err(|mut error| {
            error.name = "InvalidRequest";
            error
        })?;
        let page = Page { limit, after: cursor.as_deref(), ascending };
        let mut out = b"{\"records\":[".to_vec();
        let (mut count, mut last) = (0, String::new());
        let listed = store::record::list(sql, account.id, &collection, page, |rkey, cid, body| {
            if out.len() > limits::PAGE {
                return Err(SqlError::Aborted);
            }
            if count > 0 {
                out.push(b',');
            }
            count += 1;
            last.clear();
            last.push_str(rkey);
            write_record(&mut out, &account.did, &collection, rkey, cid, body)
                .map_err(|error| SqlError::Other(error.to_string()))
        });
        let cut = matches!(listed, Err(SqlError::Aborted));
        if !cut {
            listed?;
        }
        out.push(b']');
        if cut || count == limit {
            out.extend_from_slice(b",\"cursor\":");
            serde_json::to_writer(&mut out, &last).map_err(internal)?;
        }
        out.push(b'}');
        Ok(out)
    })
    .await
}

/// `{"uri", "cid", "value"}`. None of URI and CID has a character that JSON escapes.
pub(crate) fn write_record(
    out: &mut Vec<u8>,
    did: &Did,
    collection: &Nsid,
    rkey: &str,
    cid: Cid,
    body: &[u8],
) -> Result<()> {
    for part in ["{\"uri\":\"at://", did.as_str(), "/", collection.as_str(), "/", rkey, "\",\"cid\":\""] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(&cid.to_ascii());
    out.extend_from_slice(b"\",\"value\":");
    json::from_cbor(body, out).map_err(internal)?;
    out.push(b'}');
    Ok(())
}
