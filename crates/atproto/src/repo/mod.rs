//! Repositories: signed commits over a tree of records (repository spec, version 3).
//!
//! *Path*: `collection/rkey`, the key of a record in the tree. *Commit*: the signed object that names the tree's root.
//! *Rev*: a TID that grows with every commit. *Inversion*: undoing a commit's operations on its tree, which must give the
//! tree before it (sync spec, "Commit Validation: MST Operation Inversion").

mod apply;
mod commit;
mod verify;

pub use apply::{Action, Applied, ApplyError, Head, RepoOp, Write, apply, create, renew};
pub use commit::{Commit, CommitError};
pub use verify::{VerifiedRepo, VerifyError, invert, verify_commit_diff, verify_repo};
