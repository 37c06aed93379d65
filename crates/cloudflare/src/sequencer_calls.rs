//! What is asked of the Sequencer object from elsewhere in the Worker. Its paths are reached by who has the binding only: the
//! edge hands it requests for its public paths and no others.

use rookery_atproto::syntax::{Did, Nsid};
use rookery_pds::ports::{DirectoryError, Listed, Page};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use worker::{Env, Stub, Url};

/// The one there is.
const NAME: &str = "sequencer";

/// The object.
pub(crate) fn stub(env: &Env) -> worker::Result<Stub> {
    env.durable_object("SEQUENCER")?.get_by_name(NAME)
}

#[derive(Deserialize)]
struct Answer<T> {
    entries: Vec<T>,
    last: Option<i64>,
}

#[derive(Deserialize)]
struct Repo {
    did: String,
    status: String,
    head: String,
    rev: String,
}

#[derive(Deserialize)]
struct Named {
    did: String,
}

/// Up to `limit` repos after a place in the list.
pub(crate) async fn list(env: &Env, after: i64, limit: i64) -> Result<Page<Listed>, DirectoryError> {
    let url = url("list", &[("after", &after), ("limit", &limit)])?;
    let answer: Answer<Repo> = get(env, &url).await?;
    let listed = |repo: Repo| -> Result<_, DirectoryError> {
        Ok(Listed {
            did: repo.did.parse().map_err(unavailable)?,
            status: repo.status.parse().map_err(unavailable)?,
            commit: repo.head.parse().map_err(unavailable)?,
            rev: repo.rev.parse().map_err(unavailable)?,
        })
    };
    let entries = answer.entries.into_iter().map(listed).collect::<Result<_, _>>()?;
    Ok(Page { entries, last: answer.last })
}

/// Up to `limit` active accounts with records in a collection, after a place in the list.
pub(crate) async fn list_by_collection(
    env: &Env,
    collection: &Nsid,
    after: i64,
    limit: i64,
) -> Result<Page<Did>, DirectoryError> {
    let url = url("by-collection", &[("collection", collection), ("after", &after), ("limit", &limit)])?;
    let answer: Answer<Named> = get(env, &url).await?;
    let entries = answer.entries.into_iter().map(|named| named.did.parse().map_err(unavailable));
    Ok(Page { entries: entries.collect::<Result<_, _>>()?, last: answer.last })
}

fn url(path: &str, params: &[(&str, &dyn Display)]) -> Result<Url, DirectoryError> {
    let mut url = Url::parse("https://sequencer/").map_err(unavailable)?;
    url.set_path(path);
    for (name, value) in params {
        url.query_pairs_mut().append_pair(name, &value.to_string());
    }
    Ok(url)
}

async fn get<T: DeserializeOwned>(env: &Env, url: &Url) -> Result<T, DirectoryError> {
    let mut answer =
        stub(env).map_err(unavailable)?.fetch_with_str(url.as_str()).await.map_err(unavailable)?;
    if answer.status_code() != 200 {
        return Err(unavailable(format!("the Sequencer answered with status {}", answer.status_code())));
    }
    answer.json().await.map_err(unavailable)
}

fn unavailable(problem: impl Display) -> DirectoryError {
    DirectoryError::Unavailable(problem.to_string())
}
