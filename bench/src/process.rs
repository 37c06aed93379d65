//! What a process has used, from `/proc`; nothing on other systems.

use std::fs;
use std::time::Duration;

/// USER_HZ, which Linux fixes at 100 for programs.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// On all processors, in user mode and in the kernel.
    pub(crate) cpu: Duration,
    /// Memory now, in kilobytes.
    pub(crate) rss_kb: u64,
    /// The most memory at any time, in kilobytes.
    pub(crate) peak_kb: u64,
    /// Bytes that went to storage; none where only the owner may know.
    pub(crate) stored: Option<u64>,
}

/// Of this process or another.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the parenthesis may hold anything. utime and stime are the 14th and 15th fields.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u32 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stored = fs::read_to_string(format!("/proc/{pid}/io")).ok();
    Some(Usage {
        cpu: TICK * ticks,
        rss_kb: number(&status, "VmRSS:")?,
        peak_kb: number(&status, "VmHWM:")?,
        stored: stored.and_then(|io| number(&io, "write_bytes:")),
    })
}

/// What this process has used.
pub(crate) fn own_usage() -> Option<Usage> {
    usage(std::process::id())
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_memory_of_a_process_can_be_read() {
        let before = own_usage().unwrap();
        assert!(before.rss_kb > 0 && before.peak_kb >= before.rss_kb, "{before:?}");
        while own_usage().unwrap().cpu < before.cpu + TICK {}
        assert!(usage(0).is_none());
    }
}
