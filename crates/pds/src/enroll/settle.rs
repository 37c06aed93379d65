//! The end of an enrollment: the directory knows the account for good.
//!
//! The reservation stays beside a finished account until then, and says what there is to tell. A process may end before it is
//! told; the claim may even have run out and the handle be another key's by then, who was told so. In that case the account
//! goes on without a handle, and may be given another one.

use super::Enrolled;
use crate::app::App;
use crate::error::Result;
use crate::ports::Entry;
use crate::sequencer::emit;
use crate::store;
use crate::store::account::Account;

impl App {
    /// Settles accounts that were made but not settled: the process ended in between, or the directory did not answer. A host
    /// whose directory is elsewhere calls it some time after each enrollment has begun, and again while it fails.
    pub async fn settle_accounts(&self) -> Result<()> {
        for entry in self.read(|sql| Ok(store::signup::unsettled(sql)?)).await? {
            settle(self, &entry).await?;
        }
        Ok(())
    }
}

/// The same for one that is about to be answered.
pub(super) async fn account(app: &App, mut enrolled: Enrolled) -> Result<Enrolled> {
    if let Some(entry) = enrolled.unsettled.take()
        && !settle(app, &entry).await?
    {
        enrolled.handle = None;
    }
    Ok(enrolled)
}

/// False when the account has lost its handle.
async fn settle(app: &App, entry: &Entry) -> Result<bool> {
    let kept = app.ports.directory.settle(entry).await?;
    let (entry, now) = (entry.clone(), app.now_micros());
    app.write(move |sql| {
        store::signup::release(sql, &entry.did)?;
        let account = store::account::by_did(sql, &entry.did)?;
        if let Some(account) = account.filter(|account| !kept && account.handle.as_ref() == Some(&entry.handle)) {
            tracing::warn!(account.did = %entry.did, account.handle = %entry.handle, "an account lost its handle to another");
            store::account::set_handle(sql, account.id, None)?;
            emit::identity_changed(sql, now, &Account { handle: None, ..account })?;
        }
        Ok(())
    })
    .await?;
    Ok(kept)
}
