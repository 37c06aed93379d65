//! Why an event is not one that a relay would take.

use super::Stage;
use rookery_atproto::car::CarError;
use rookery_atproto::data::Cid;
use rookery_atproto::mst::MstError;
use rookery_atproto::repo::{CommitError, VerifyError};
use rookery_atproto::syntax::{Datetime, Did, Tid};
use std::convert::Infallible;

/// The rule that an event breaks.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Numbers go up.
    #[error("seq {found} comes after {last}")]
    Seq {
        /// The event before.
        last: u64,
        /// This one.
        found: u64,
    },
    /// Nobody has resolved the DID for this checker.
    #[error("the key of {0} is not known")]
    Stranger(Did),
    /// Nothing happens in the future.
    #[error("it happened at {0}, which is yet to come")]
    Time(Datetime),
    /// A signup is told in one order.
    #[error(
        "the first events of an account are #identity, #account, #commit, #sync: expected {expected:?}, found {found}"
    )]
    Order {
        /// What must come.
        expected: Stage,
        /// What came.
        found: &'static str,
    },
    /// `active` and `status` contradict each other, or the status is none that a host has.
    #[error("an account that is active: {active} cannot have the status {status:?}")]
    Status {
        /// As told.
        active: bool,
        /// As told.
        status: Option<String>,
    },
    /// Nothing is told of the repo of an account that is not served.
    #[error("the account is not active")]
    Inactive,
    /// `blocks` is no CAR, or has blocks that are not what their CID says.
    #[error(transparent)]
    Car(#[from] CarError),
    /// A block is there once.
    #[error("the block {0} is there twice")]
    Twice(Cid),
    /// The commit is no commit or not signed by the account.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Root, commit, signature, paths, records and inversion.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The CAR's root is the commit that the event tells of.
    #[error("the event is of the commit {told}, the CAR of {found}")]
    Root {
        /// In the event.
        told: Cid,
        /// In the CAR.
        found: Cid,
    },
    /// `rev` is that of the commit.
    #[error("the event has rev {told}, the commit {found}")]
    Rev {
        /// In the event.
        told: Tid,
        /// In the commit.
        found: Tid,
    },
    /// `prev` of a commit of version 3 is null.
    #[error("the commit names the one before it, {0}, instead of null")]
    Prev(Cid),
    /// Revisions go up.
    #[error("rev {found} comes after {last}")]
    NotAbove {
        /// The commit before.
        last: Tid,
        /// This one.
        found: Tid,
    },
    /// Revisions are times, and none in the future.
    #[error("rev {0} is in the future")]
    Future(Tid),
    /// `since` is the revision before.
    #[error("since is {found:?} where the revision before is {expected:?}")]
    Since {
        /// What the repo was at.
        expected: Option<Tid>,
        /// What the event says.
        found: Option<Tid>,
    },
    /// `prevData` is the tree before.
    #[error("prevData is {found:?} where the tree before is {expected:?}")]
    PrevData {
        /// What the repo was at.
        expected: Option<Cid>,
        /// What the event says.
        found: Option<Cid>,
    },
    /// The first commit is of an empty repo.
    #[error("the first commit has {0} operations")]
    NotEmpty(usize),
    /// `action`, `cid` and `prev` go together.
    #[error("the operation on {path} is {action:?}, but cid is {cid} and prev is {prev}")]
    Action {
        /// Where.
        path: String,
        /// As told.
        action: String,
        /// Whether it is there.
        cid: bool,
        /// Whether it is there.
        prev: bool,
    },
    /// `prev` is what was at the path.
    #[error("the operation on {path} replaces {told:?}, but {found:?} was there")]
    Replaced {
        /// Where.
        path: String,
        /// As told.
        told: Option<Cid>,
        /// As the events before made it.
        found: Option<Cid>,
    },
    /// An update changes something.
    #[error("the update of {0} changes nothing")]
    Unchanged(String),
    /// A record is sound data, of its collection, and not too large.
    #[error("the record at {path} is none: {why}")]
    Record {
        /// Where.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The tree is the one of the records that the operations of all events made.
    #[error("the tree is {found} where all operations make {expected}")]
    Contents {
        /// The tree of the records.
        expected: Cid,
        /// The last one told.
        found: Cid,
    },
    /// The tree is not canonical, or a new node is missing.
    #[error(transparent)]
    Tree(#[from] MstError<Infallible>),
    /// Every block is the commit, a new node or record, or needed to undo the operations.
    #[error("nobody needs the block {0}")]
    Unneeded(Cid),
    /// A `#sync` brings the commit alone.
    #[error("a #sync has one block, the commit, not {0}")]
    NotAlone(usize),
    /// A `#sync` tells where the commits have led.
    #[error("the commit is {found}, but {expected} was the last one told")]
    Elsewhere {
        /// The last `#commit`.
        expected: Cid,
        /// This `#sync`.
        found: Cid,
    },
}
