//! Numbers fit for a table.

use crate::host::Host;
use crate::process::{Usage, own_usage};
use crate::progress::say;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;

/// Prints a figure: JSON on stdout, words on stderr.
pub(crate) fn print(figure: &Value, words: &str) {
    // Nobody has to be reading.
    let _ = writeln!(io::stdout(), "{figure}");
    say(words);
}

/// Three significant digits or so: more is noise.
pub(crate) fn round(number: f64) -> f64 {
    let digits = match number.abs() {
        100.0.. => 1.0,
        10.0.. => 10.0,
        1.0.. => 100.0,
        _ => 10_000.0,
    };
    (number * digits).round() / digits
}

/// So many in this time, by the second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    real(count) / time.as_secs_f64().max(1e-9)
}

/// A count as a real number; exact up to 2^53.
pub(crate) fn real(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no count here comes near to 2^53")]
    let real = count as f64;
    real
}

/// `part` of `whole`, and 0 of nothing.
pub(crate) fn per(part: f64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part / real(whole) }
}

/// Times in milliseconds: the median and what 99 of 100 stay under.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Spread {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            round(times.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3)
        };
        Self { p50_ms: at(50), p99_ms: at(99) }
    }

    pub(crate) fn json(self) -> Value {
        json!({ "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "p99_of_p50": self.ratio().map(round) })
    }

    /// How many times the median the slowest of a hundred takes.
    pub(crate) fn ratio(self) -> Option<f64> {
        (self.p50_ms > 0.0).then(|| self.p99_ms / self.p50_ms)
    }
}

/// What the server and this process used between two moments.
pub(crate) struct Meter<'a> {
    host: &'a Host,
    before: Option<Usage>,
    own_before: Option<Usage>,
}

/// See [`Meter`]. Processor times in seconds, memory in megabytes; none where it cannot be read.
pub(crate) struct Used {
    pub(crate) server_cpu_s: Option<f64>,
    pub(crate) own_cpu_s: Option<f64>,
    pub(crate) rss_mb: Option<f64>,
    pub(crate) peak_mb: Option<f64>,
    /// Bytes that went to storage.
    pub(crate) stored: Option<u64>,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(host: &'a Host) -> Self {
        Self { host, before: host.usage(), own_before: own_usage() }
    }

    pub(crate) fn stop(self) -> Used {
        let (after, own_after) = (self.host.usage(), own_usage());
        let between = |before: Option<Usage>, after: Option<Usage>| {
            Some(after?.cpu.saturating_sub(before?.cpu).as_secs_f64())
        };
        Used {
            server_cpu_s: between(self.before, after),
            own_cpu_s: between(self.own_before, own_after),
            rss_mb: after.map(|usage| megabytes(usage.rss_kb)),
            peak_mb: after.map(|usage| megabytes(usage.peak_kb)),
            stored: after
                .zip(self.before)
                .and_then(|(after, before)| after.stored?.checked_sub(before.stored?)),
        }
    }
}

impl Used {
    /// Microseconds of the server's processor time for each of `count`.
    pub(crate) fn server_us_per(&self, count: u64) -> Option<f64> {
        self.server_cpu_s.map(|seconds| round(per(seconds * 1e6, count)))
    }

    /// Rounded, for JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "server_cpu_s": self.server_cpu_s.map(round),
            "bench_cpu_s": self.own_cpu_s.map(round),
            "server_rss_mb": self.rss_mb,
            "server_peak_mb": self.peak_mb,
        })
    }
}

/// For sentences: what could not be read is unknown.
pub(crate) fn or_unknown(number: Option<f64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| round(number).to_string())
}

pub(crate) fn megabytes(kilobytes: u64) -> f64 {
    round(real(kilobytes) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_taken_from_sorted_times() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(Spread::of(times), Spread { p50_ms: 50.0, p99_ms: 99.0 });
        assert_eq!(Spread::of(vec![Duration::from_millis(7)]), Spread { p50_ms: 7.0, p99_ms: 7.0 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn numbers_keep_about_three_digits() {
        for (number, rounded) in
            [(12_345.6, 12_346.0), (12.34, 12.3), (1.234, 1.23), (0.012_34, 0.0123), (0.0, 0.0)]
        {
            assert!((round(number) - rounded).abs() < 1e-9, "{number}");
        }
    }
}
