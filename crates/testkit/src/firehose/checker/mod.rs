//! What a relay checks of each event (sync spec, "Message Validation Checklist"), and a mirror of every repo.
//!
//! The checker does no I/O: whoever uses it resolves DIDs and tells it the keys ([`Checker::introduce`]) and the time. It
//! keeps of each account what a relay keeps (key, status, head), and besides the whole tree and all records, so that it can
//! also say what a relay cannot see: that a block in an event is needed by nobody, or that an operation replaces
//! something else than it says. A checker that has found a fault is of no further use.
//!
//! What it does not check is that the host is the one of the DID document: test hosts change their port with each start.

mod commit;
mod fault;
mod mirror;

pub use fault::Fault;
pub use mirror::{Contents, Mirror};

use super::frame::{Body, Event};
use commit::Claim;
use rookery_atproto::car::{Car, Limits, Reader};
use rookery_atproto::crypto::PublicKey;
use rookery_atproto::data::Cid;
use rookery_atproto::repo::{self, VerifyError};
use rookery_atproto::syntax::{Did, Handle, Tid};
use std::collections::BTreeMap;

/// How far clocks may be apart, in microseconds.
const DRIFT: u64 = 5 * 60 * 1_000_000;
/// Why an account may not be active on its own host (account spec, "Hosting Status").
const STATUSES: [&str; 4] = ["takendown", "suspended", "deleted", "deactivated"];

/// Where in the life of a host the events begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Before its first account: of every account, the signup comes first.
    Genesis,
    /// Somewhere: of accounts from before, the first commit is taken on trust and the repo is not mirrored.
    Midway,
}

/// What must come next of a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `#identity`
    Identity,
    /// `#account`, active.
    Account,
    /// `#commit` of the empty repo.
    Commit,
    /// `#sync`
    Sync,
    /// Anything.
    Any,
}

/// An account as the events tell of it.
#[derive(Clone, Debug)]
pub struct Account {
    stage: Stage,
    /// Whether it is served.
    pub active: bool,
    /// Why it is not.
    pub status: Option<String>,
    /// Its handle, as it was told last.
    pub handle: Option<Handle>,
    /// Its repo; none before its first commit.
    pub repo: Option<Mirror>,
}

/// Checks events one after the other.
#[derive(Clone, Debug)]
pub struct Checker {
    begin: Begin,
    last: u64,
    keys: BTreeMap<Did, PublicKey>,
    accounts: BTreeMap<Did, Account>,
}

impl Checker {
    /// One that has seen nothing.
    pub fn new(begin: Begin) -> Self {
        Self { begin, last: 0, keys: BTreeMap::new(), accounts: BTreeMap::new() }
    }

    /// The `seq` of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether the key of this account is known.
    pub fn knows(&self, did: &Did) -> bool {
        self.keys.contains_key(did)
    }

    /// The key in the DID document.
    pub fn introduce(&mut self, did: Did, key: PublicKey) {
        self.keys.insert(did, key);
    }

    /// All accounts.
    pub fn accounts(&self) -> &BTreeMap<Did, Account> {
        &self.accounts
    }

    /// The repo of an account, if its first commit has come.
    pub fn repo(&self, did: &Did) -> Option<&Mirror> {
        self.accounts.get(did)?.repo.as_ref()
    }

    /// Takes the next event. `now` is in microseconds.
    pub fn take(&mut self, event: &Event, now: u64) -> Result<(), Fault> {
        if event.seq <= self.last {
            return Err(Fault::Seq { last: self.last, found: event.seq });
        }
        self.last = event.seq;
        let key = self.keys.get(&event.did).ok_or_else(|| Fault::Stranger(event.did.clone()))?;
        if u64::try_from(event.time.micros()).is_ok_and(|time| time > now + DRIFT) {
            return Err(Fault::Time(event.time.clone()));
        }
        let begin = self.begin;
        let account = self.accounts.entry(event.did.clone()).or_insert_with(|| Account::new(begin));
        account.step(&event.body)?;
        match &event.body {
            Body::Identity { handle } => account.handle.clone_from(handle),
            Body::Account { active, status } => account.status(*active, status.as_deref())?,
            Body::Commit(told) => {
                account.require_active()?;
                let claim = Claim::read(told, &event.did, key)?;
                not_in_future(told.rev, now)?;
                account.repo = Some(match account.repo.take() {
                    Some(before) => before.advance(claim)?,
                    None => Mirror::begin(claim, begin)?,
                });
            }
            Body::Sync { rev, blocks } => {
                account.require_active()?;
                not_in_future(*rev, now)?;
                account.sync(*rev, &read_car(blocks)?, (&event.did, key), begin)?;
            }
        }
        Ok(())
    }
}

impl Account {
    fn new(begin: Begin) -> Self {
        let stage = match begin {
            Begin::Genesis => Stage::Identity,
            Begin::Midway => Stage::Any,
        };
        Self { stage, active: begin == Begin::Midway, status: None, handle: None, repo: None }
    }

    /// Whether nothing more of the signup is to come.
    pub fn is_settled(&self) -> bool {
        self.stage == Stage::Any
    }

    fn step(&mut self, body: &Body) -> Result<(), Fault> {
        self.stage = match (self.stage, body) {
            (Stage::Identity, Body::Identity { .. }) => Stage::Account,
            (Stage::Account, Body::Account { active: true, .. }) => Stage::Commit,
            (Stage::Commit, Body::Commit(_)) => Stage::Sync,
            (Stage::Sync, Body::Sync { .. }) => Stage::Any,
            // Midway into a signup, or at least after its beginning.
            (Stage::Any, Body::Commit(told)) if told.since.is_none() => Stage::Sync,
            (Stage::Any, _) => Stage::Any,
            (expected, found) => return Err(Fault::Order { expected, found: name(found) }),
        };
        Ok(())
    }

    fn status(&mut self, active: bool, status: Option<&str>) -> Result<(), Fault> {
        let sound =
            if active { status.is_none() } else { status.is_some_and(|word| STATUSES.contains(&word)) };
        if !sound {
            return Err(Fault::Status { active, status: status.map(str::to_owned) });
        }
        self.active = active;
        self.status = status.map(str::to_owned);
        Ok(())
    }

    fn require_active(&self) -> Result<(), Fault> {
        if self.active { Ok(()) } else { Err(Fault::Inactive) }
    }

    /// A `#sync`: it must say what the commits have said.
    fn sync(
        &mut self,
        rev: Tid,
        car: &Car,
        (did, key): (&Did, &PublicKey),
        begin: Begin,
    ) -> Result<(), Fault> {
        let (root, block) = sole_block(car)?;
        let commit = repo::Commit::decode(block)?;
        if commit.did != *did {
            return Err(VerifyError::Did { expected: did.clone(), found: commit.did }.into());
        }
        commit.verify(key)?;
        if commit.rev != rev {
            return Err(Fault::Rev { told: rev, found: commit.rev });
        }
        match &self.repo {
            Some(known) if known.commit != root => {
                Err(Fault::Elsewhere { expected: known.commit, found: root })
            }
            Some(_) => Ok(()),
            None if begin == Begin::Midway => {
                self.repo = Some(Mirror::of_commit(root, block.clone(), &commit));
                Ok(())
            }
            None => Err(Fault::Order { expected: Stage::Commit, found: "#sync" }),
        }
    }
}

fn name(body: &Body) -> &'static str {
    match body {
        Body::Commit(_) => "#commit",
        Body::Sync { .. } => "#sync",
        Body::Identity { .. } => "#identity",
        Body::Account { active: true, .. } => "#account",
        Body::Account { active: false, .. } => "#account of an inactive one",
    }
}

fn not_in_future(rev: Tid, now: u64) -> Result<(), Fault> {
    if rev.micros() > now + DRIFT { Err(Fault::Future(rev)) } else { Ok(()) }
}

/// The one block of a CAR, which is its root.
fn sole_block(car: &Car) -> Result<(Cid, &bytes::Bytes), Fault> {
    let [root] = car.roots.as_slice() else { return Err(VerifyError::Roots(car.roots.len()).into()) };
    let block = car.blocks.get(root).ok_or(VerifyError::Missing(*root))?;
    if car.blocks.len() == 1 { Ok((*root, block)) } else { Err(Fault::NotAlone(car.blocks.len())) }
}

/// A CAR with each block once.
fn read_car(bytes: &[u8]) -> Result<Car, Fault> {
    let mut reader = Reader::new(Limits::default());
    reader.feed(bytes);
    let mut car = Car::default();
    while let Some((cid, block)) = reader.next_block()? {
        if car.blocks.insert(cid, block).is_some() {
            return Err(Fault::Twice(cid));
        }
    }
    car.roots = reader.finish()?;
    Ok(car)
}

#[cfg(test)]
mod tests;
