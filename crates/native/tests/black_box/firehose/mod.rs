//! The firehose of a running server, where a suite cannot look: across restarts, with little room, and for many at once.

mod crowd;
pub(crate) mod random;
mod retention;
#[cfg(target_os = "linux")]
mod slow;
#[cfg(unix)]
mod stop;
pub(crate) mod told;

/// Lets this process and the servers it starts have as many open files as the system grants.
#[cfg(unix)]
pub(crate) fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
