//! How many files the process may have open: every connection is one.

/// For the database, blobs, and requests to others.
const RESERVED: usize = 512;

/// Asks for as many as there may be. The number of connections out of `wanted` that they are enough for, beside `others`.
#[cfg(unix)]
pub(super) fn connections(wanted: usize, others: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let given = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: given.maximum, maximum: given.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let enough = limit.saturating_sub(RESERVED.saturating_add(others)).max(limit / 2);
    if enough < wanted {
        tracing::warn!(
            files = limit,
            connections = enough,
            "the limit on open files allows fewer connections than are configured"
        );
    }
    wanted.min(enough)
}

/// No such limit is known here.
#[cfg(not(unix))]
pub(super) fn connections(wanted: usize, _others: usize) -> usize {
    wanted
}
