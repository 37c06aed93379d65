//! The built binary, running.

use rookery_testkit::Target;
use rookery_testkit::firehose::audit;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server on a free port; when dropped, its firehose is audited and it is ended.
///
/// So any test that writes is a test of the firehose too. [`kill`](Self::kill) and [`wait`](Self::wait) do not audit: they are
/// for a server that is followed by another one on its data directory, whose audit goes back to the first event of both. A
/// test whose last server ends that way says why.
pub(crate) struct Server {
    pub(crate) target: Target,
    /// By `kill` or `wait`: no audit is due.
    ended: bool,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// The binary, without the settings of whoever runs the tests, and without rate limits: tests are quicker than those allow.
pub(crate) fn rookery() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).env("ROOKERY_RATE_LIMITS", "off");
    command
}

/// `rookery serve` on a data directory, with errors only in its log.
pub(crate) fn serve(data_dir: &Path) -> Command {
    let mut command = rookery();
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"]).arg(data_dir);
    command
}

impl Server {
    /// Starts `rookery serve` and waits until it is ready.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::run(serve(data_dir))
    }

    /// Starts a command that serves and waits until it is ready: it says so, and where.
    pub(crate) fn run(command: Command) -> Self {
        Self::try_run(command)
            .unwrap_or_else(|status| panic!("the server ended ({status}) before it was ready"))
    }

    /// The same, for servers that may fail.
    pub(crate) fn try_run(mut command: Command) -> Result<Self, ExitStatus> {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let port = loop {
            if stdout.read_line(&mut said).unwrap() == 0 {
                return Err(child.wait().unwrap());
            }
            let url = said.lines().find_map(|line| line.trim().strip_prefix("url"));
            if let Some(port) = url.and_then(|url| url.rsplit(':').next()?.trim().parse::<u16>().ok()) {
                break port;
            }
        };
        let target = Target::new(&format!("http://127.0.0.1:{port}"));
        Ok(Self { target, ended: false, child, stdout })
    }

    /// Waits for its end, which it comes to by itself and soon.
    pub(crate) fn wait_a_minute(&mut self) {
        self.ended = true;
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "the server goes on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it without a warning, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.ended = true;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The most memory it has had at any time, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    /// The memory it has now, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    #[cfg(target_os = "linux")]
    fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kib: usize = value.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kib * 1024
    }

    /// Replays everything that it has told, checks it as a relay would, and compares it with what the server has. Makes one
    /// more account.
    pub(crate) fn audit(&self) {
        // A test may be in the middle of its own runtime.
        let outcome = thread::scope(|scope| scope.spawn(|| block_on(audit(&self.target))).join());
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    /// Waits for its end; what else it said.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        self.ended = true;
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that has failed has said enough.
        let due = !self.ended && !thread::panicking();
        let outcome = due.then(|| catch_unwind(AssertUnwindSafe(|| self.audit())));
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(Err(panic)) = outcome {
            resume_unwind(panic);
        }
    }
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
