//! Making an account: reserve, claim, register, finish.

use super::{Enrolled, Enrollment};
use crate::account::handle_taken;
use crate::app::App;
use crate::config::limits;
use crate::error::{Error, Result, internal};
use crate::ports::{Claim, Entry};
use crate::seal::generate_key;
use crate::sequencer::emit;
use crate::store;
use crate::store::account::NewAccount;
use crate::store::signup::Pending;
use crate::store::tree::Recent;
use http::StatusCode;
use rookery_atproto::identity::plc::{Operation, UnsignedOperation};
use rookery_atproto::repo;
use rookery_atproto::syntax::Did;
use std::sync::Arc;

/// What a reservation ended in.
enum Reserved {
    /// This one is now held by the key.
    Held(Box<Pending>),
    /// The key has an account already: an enrollment beside this one was faster.
    Enrolled(Enrolled),
}

/// Makes the account, or leaves nothing behind.
pub(super) async fn make(app: &Arc<App>, enrollment: Enrollment) -> Result<Enrolled> {
    let fresh = pending(app, &enrollment)?;
    let enrollment = Arc::new(enrollment);
    let pending = match reserve(app, Arc::clone(&enrollment), fresh).await? {
        Reserved::Held(pending) => pending,
        Reserved::Enrolled(account) => return Ok(account),
    };
    match claim_and_register(app, &enrollment, &pending).await {
        Ok(claim) => finish(app, enrollment, *pending, claim).await,
        Err(error) => {
            release(app, pending.did).await;
            Err(error)
        }
    }
}

/// Holds the handle among all accounts, then registers the DID.
async fn claim_and_register(app: &App, enrollment: &Enrollment, pending: &Pending) -> Result<Claim> {
    let entry = entry(enrollment, pending);
    let claim = app.ports.directory.claim(&entry, app.now_micros() + limits::RESERVATION).await?;
    if claim == Claim::Taken {
        return Err(handle_taken(&pending.handle));
    }
    let operation = Operation::from_json(pending.operation.as_bytes()).map_err(internal)?;
    app.plc.submit(app, &pending.did, &operation).await?;
    Ok(claim)
}

fn entry(enrollment: &Enrollment, pending: &Pending) -> Entry {
    Entry { thumbprint: enrollment.thumbprint, did: pending.did.clone(), handle: pending.handle.clone() }
}

/// A signing key, and the genesis operation that names it.
fn pending(app: &App, enrollment: &Enrollment) -> Result<Pending> {
    let key = generate_key(app.ports.entropy.as_ref())?;
    let rotation_keys =
        enrollment.recovery.iter().cloned().chain([app.rotation_key.public().to_did_key()]).collect();
    let genesis = UnsignedOperation::atproto_genesis(
        &key.public(),
        &enrollment.handle,
        &app.config.public_url,
        rotation_keys,
    );
    let operation = genesis.sign(&app.rotation_key);
    let did = operation.did_of_genesis();
    let signing_key = app.sealer.seal(app.ports.entropy.as_ref(), did.as_str(), key.to_bytes().as_slice())?;
    Ok(Pending {
        handle: enrollment.handle.clone(),
        did,
        signing_key,
        recovery: enrollment.recovery.clone(),
        operation: operation.to_json().to_string(),
    })
}

/// Holds the handle for the key. An enrollment of the same key for the same handle that was cut short goes on with its DID.
async fn reserve(app: &App, enrollment: Arc<Enrollment>, fresh: Pending) -> Result<Reserved> {
    let now = app.now_micros();
    app.write(move |sql| {
        enrollment.proof.consume(sql)?;
        let thumbprint = &enrollment.thumbprint;
        if let Some(account) = Enrolled::find(sql, thumbprint)? {
            return Ok(Reserved::Enrolled(account));
        }
        if let Some(kept) = store::signup::get(sql, thumbprint)?
            && kept.handle == enrollment.handle
            && kept.recovery == enrollment.recovery
        {
            return Ok(Reserved::Held(Box::new(kept)));
        }
        if store::signup::handle_taken(sql, &enrollment.handle, thumbprint, now - limits::RESERVATION)? {
            return Err(handle_taken(&enrollment.handle));
        }
        store::signup::reserve(sql, thumbprint, &fresh, now)?;
        Ok(Reserved::Held(Box::new(fresh)))
    })
    .await
}

/// The account, its repo with the first commit, and the end of the reservation, in one transaction. What was claimed is left as it
/// is when this fails: nobody knows whether the account is there.
async fn finish(
    app: &Arc<App>,
    enrollment: Arc<Enrollment>,
    pending: Pending,
    claim: Claim,
) -> Result<Enrolled> {
    let now = app.now_micros();
    let key = app.sealer.open_key(pending.did.as_str(), &pending.signing_key)?;
    let rev = app.tids.next(now.unsigned_abs());
    let mut genesis = repo::create(&pending.did, rev, &key).map_err(internal)?;
    let blocks = genesis.diff(std::iter::empty()).map_err(internal)?;
    let (head, commit_block, change) = genesis.into_stored();
    let recent = Recent::of_first(change);
    app.write(move |sql| {
        if let Some(account) = Enrolled::find(sql, &enrollment.thumbprint)? {
            return Ok(account);
        }
        // The reservation may be gone: another request of this key failed and released it, or it ran out.
        let unsettled = if claim == Claim::Held {
            // Then so is the claim. Otherwise it stays, and says what is to be settled.
            let kept = store::signup::get(sql, &enrollment.thumbprint)?;
            if kept.is_none_or(|kept| kept.did != pending.did) {
                return Err(given_back());
            }
            Some(entry(&enrollment, &pending))
        } else {
            // What counts is that the key still has no account and that nobody else holds the handle.
            store::signup::release(sql, &pending.did)?;
            None
        };
        let fresh_since = now - limits::RESERVATION;
        if store::signup::handle_taken(sql, &pending.handle, &enrollment.thumbprint, fresh_since)? {
            return Err(handle_taken(&pending.handle));
        }
        let account = NewAccount {
            did: &pending.did,
            handle: &pending.handle,
            thumbprint: &enrollment.thumbprint,
            signing_key: &pending.signing_key,
            entry_ref: enrollment.entry_ref.as_deref(),
            created_at: now,
        };
        let id = store::account::insert(sql, &account)?;
        store::repo::insert_head(sql, id, &head, &commit_block, &recent)?;
        emit::signup(sql, id, now, &account, &head, (&commit_block, &blocks))?;
        tracing::info!(account.did = %pending.did, account.handle = %pending.handle, "agent enrolled");
        Ok(Enrolled { did: pending.did, handle: Some(pending.handle), unsettled })
    })
    .await
}

/// 503: two requests of a key, of which one failed and the other was about to go on.
fn given_back() -> Error {
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Interrupted",
        "Another enrollment of this key failed meanwhile and gave its handle back. Send the request again.",
    )
}

/// Gives the handle back after a failure, unless another request of the key has made the account meanwhile. The claim goes
/// after the reservation, so that nobody finishes who has lost it. If this fails too, both run out by themselves.
async fn release(app: &App, did: Did) {
    let reservation = app.write({
        let did = did.clone();
        move |sql| {
            if store::account::by_did(sql, &did)?.is_some() {
                return Ok(false);
            }
            store::signup::release(sql, &did)?;
            Ok(true)
        }
    });
    let released = match reservation.await {
        Ok(true) => app.ports.directory.release(&did).await.map_err(Error::from),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = released {
        tracing::warn!(account.did = %did, error = %error, "a failed enrollment keeps its handle until it expires");
    }
}
