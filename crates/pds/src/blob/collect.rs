//! Collecting: blobs that nothing has referred to for the grace period, and objects that are no blob's.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::BlobError;
use crate::store;
use futures_util::{StreamExt, stream};

/// Blobs ended in one transaction at most, so that no writer waits for it.
const COLLECT_AT_ONCE: i64 = 200;
/// Objects deleted before their rows are.
const DELETE_AT_ONCE: i64 = 100;
/// Objects deleted side by side.
const SIDE_BY_SIDE: usize = 8;
/// Objects deleted in one go of housekeeping; the rest is left to the next.
const DELETE_IN_A_GO: usize = 2_000;

/// At the start: what an earlier process was storing when it ended is nobody's any more.
pub(crate) async fn start(app: &App) -> Result<()> {
    let afterlife = i64::try_from(app.ports.blobs.afterlife().as_micros()).unwrap_or(i64::MAX);
    let until = app.now_micros().saturating_add(afterlife);
    app.write(move |sql| Ok(store::blob::shorten_holds(sql, until)?)).await
}

/// One go of housekeeping.
pub(crate) async fn collect(app: &App) -> Result<()> {
    let now = app.now_micros();
    let grace = i64::try_from(app.config.blobs.grace.as_micros()).unwrap_or(i64::MAX);
    let released_before = now.saturating_sub(grace);
    while app.read(move |sql| Ok(store::blob::collectable(sql, released_before, now)?)).await? {
        app.write(move |sql| {
            store::blob::collect(sql, released_before, COLLECT_AT_ONCE)?;
            Ok(store::blob::give_up(sql, now)?)
        })
        .await?;
    }
    sweep(app).await
}

/// Deletes objects that are nobody's. One that cannot be deleted stays listed and holds up no other.
async fn sweep(app: &App) -> Result<()> {
    let (mut after, mut done, mut failed) = (String::new(), 0, None);
    while done < DELETE_IN_A_GO {
        let from = after.clone();
        let keys = app.read(move |sql| Ok(store::blob::garbage(sql, &from, DELETE_AT_ONCE)?)).await?;
        let Some(last) = keys.last() else { break };
        after.clone_from(last);
        done += keys.len();
        let mut deleted = Vec::with_capacity(keys.len());
        let mut outcomes = stream::iter(keys).map(|key| delete(app, key)).buffer_unordered(SIDE_BY_SIDE);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(key) => deleted.push(key),
                Err(error) => failed = Some(error),
            }
        }
        drop(outcomes);
        // Nothing works: there is no use in asking a store that is down for each of them.
        if deleted.is_empty() {
            break;
        }
        app.write(move |sql| {
            for key in &deleted {
                store::blob::forget(sql, key)?;
            }
            Ok(())
        })
        .await?;
    }
    failed.map_or(Ok(()), |error| Err(Error::from(error)))
}

async fn delete(app: &App, key: String) -> Result<String, BlobError> {
    app.ports.blobs.delete(&key).await?;
    Ok(key)
}
