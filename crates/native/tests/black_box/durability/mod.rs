//! What was acknowledged is kept, and what was not is not there by half: whatever ends the server, and whatever its disk does.
//!
//! | module | what it does |
//! |---|---|
//! | [`writer`] | an agent that does everything agents do, and what its repo must hold then |
//! | [`load`] | many of them at once, with new ones, subscribers and exports, until the server is gone |
//! | [`check`] | what must hold afterwards |
//! | [`crash`] | the process is killed |
//! | [`log`] | what a layer in front of the files (`file_layer.c`) has noted |
//! | [`disk`] | what a disk may have lost when the power goes |
//! | [`power_loss`] | the power goes |
//! | [`faults`] | a call fails |
//!
//! A run has rounds: load, an end, a start, checks. Rounds go on with what the last one left, for [`ROUNDS_OF_A_DIRECTORY`]
//! rounds; then a new directory begins, since checks of all that ever happened would take ever longer. What happens and when
//! comes from a seed, which is printed; the threads of the server and the disk do the rest, so the same seed is no promise
//! of the same failure.
//!
//! | variable | |
//! |---|---|
//! | `ROOKERY_CRASH_ROUNDS`, `ROOKERY_CRASH_SEED` | rounds of [`crash`], and the seed |
//! | `ROOKERY_POWER_ROUNDS`, `ROOKERY_POWER_SEED` | the same of [`power_loss`] |
//! | `ROOKERY_FAULTS` | `all`, or some such as `17 full,18 io`, instead of a sample |

#![expect(clippy::print_stdout, reason = "a run says its seed, and a long one how far it is")]

mod check;
mod crash;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod faults;
mod load;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod power_loss;
mod writer;

use crate::firehose::random::Random;
use check::World;
use std::env;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Rounds on the same data directory.
const ROUNDS_OF_A_DIRECTORY: usize = 25;
/// Rounds between two lines of a long run.
const PROGRESS: usize = 10;

/// Rounds to come, and the dice.
struct Run {
    name: &'static str,
    random: Random,
    rounds: usize,
    /// Rounds that belong to a directory that was begun.
    begun: usize,
    done: usize,
    /// Requests that were acknowledged in earlier directories.
    acknowledged: usize,
    start: Instant,
}

impl Run {
    /// As many rounds as `NAME_ROUNDS` says, from the seed in `NAME_SEED`.
    fn from_env(name: &'static str, rounds: usize) -> Self {
        let number = |what: &str| {
            let text = env::var(format!("{name}_{what}")).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name}_{what} is no number: {text}")))
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = number("SEED").unwrap_or_else(|| u64::from(time.subsec_nanos()));
        println!("{name}_SEED={seed}");
        let rounds = number("ROUNDS").map_or(rounds, |rounds| usize::try_from(rounds).unwrap());
        let start = Instant::now();
        Self { name, random: Random(seed), rounds, begun: 0, done: 0, acknowledged: 0, start }
    }

    /// How many rounds the next directory is for, if there are any left.
    fn next_directory(&mut self) -> Option<usize> {
        let rounds = (self.rounds - self.begun).min(ROUNDS_OF_A_DIRECTORY);
        self.begun += rounds;
        (rounds > 0).then_some(rounds)
    }

    /// How long the server is loaded before its end.
    fn load_time(&mut self) -> Duration {
        Duration::from_millis(20 + self.random.below(280))
    }

    /// Says how far it is, in a long run.
    fn progress(&mut self, world: &World) {
        self.done += 1;
        if self.done.is_multiple_of(PROGRESS) || self.done == self.rounds {
            println!(
                "{}: round {} of {} after {} s, {} requests acknowledged; in this directory: {}",
                self.name,
                self.done,
                self.rounds,
                self.start.elapsed().as_secs(),
                self.acknowledged + world.acknowledged,
                world.size(),
            );
        }
    }
}

/// Starts a server and ends it before it can be ready, or soon after.
fn spare(mut command: Command, random: &mut Random) {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(random.below(120)));
    child.kill().unwrap();
    child.wait().unwrap();
}
