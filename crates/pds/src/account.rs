//! Changes of an account that the network is told: its status and its handle (account spec, "Hosting Status").
//!
//! Each takes the account's turn, so that no commit is prepared before and stored after it: once `#account` says that a repo
//! is not served, no `#commit` of it follows. Who gives up gives back the turn while the job is still queued; so the swap of a
//! head looks at the status once more.

use crate::app::App;
use crate::error::{Error, Result, repo_not_found};
use crate::ports::{Sql, SqlError};
use crate::sequencer::emit;
use crate::store;
use crate::store::account::{Account, Status};
use http::StatusCode;
use rookery_atproto::syntax::{Did, Handle};

impl App {
    /// Sets whether an account is served, and tells it. Nothing is told when it is so already.
    pub async fn set_status(&self, did: &Did, status: Status) -> Result<()> {
        self.change(did, move |sql, now, known| {
            if known.status == status {
                return Ok(());
            }
            store::account::set_status(sql, known.id, status)?;
            Ok(emit::status_changed(sql, now, &Account { status, ..known })?)
        })
        .await
    }

    /// Gives an account another handle and tells it, also when it has it already: then it asks others to look again.
    /// Whether the handle may be had at all is the caller's to know; one that is taken here is refused.
    pub async fn set_handle(&self, did: &Did, handle: Handle) -> Result<()> {
        self.change(did, move |sql, now, known| {
            store::account::set_handle(sql, known.id, Some(&handle))
                .map_err(|error| taken(&handle, error))?;
            Ok(emit::identity_changed(sql, now, &Account { handle: Some(handle), ..known })?)
        })
        .await
    }

    /// Writes when it is the account's turn; `job` is given the time and the account as it is then.
    async fn change(
        &self,
        did: &Did,
        job: impl FnOnce(&dyn Sql, i64, Account) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let did = did.clone();
        let find =
            move |sql: &dyn Sql| store::account::by_did(sql, &did)?.ok_or_else(|| repo_not_found(&did));
        let account = self.read(find.clone()).await?;
        let _turn = self.ports.engine.turn(account.id).await;
        let now = self.now_micros();
        self.write(move |sql| job(sql, now, find(sql)?)).await
    }
}

fn taken(handle: &Handle, error: SqlError) -> Error {
    match error {
        SqlError::Constraint(_) => handle_taken(handle),
        other => other.into(),
    }
}

/// 409 `HandleTaken`.
pub(crate) fn handle_taken(handle: &Handle) -> Error {
    Error::new(
        StatusCode::CONFLICT,
        "HandleTaken",
        format!("The handle {handle} is taken. Choose another one."),
    )
}
