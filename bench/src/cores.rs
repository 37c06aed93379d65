//! The same work many times over, on all processors: what takes the client time before a clock starts.

use crate::progress::Progress;
use anyhow::{Result, anyhow};
use std::num::NonZero;
use std::thread;

/// Does `work` for every number below `count`; what it gives, in order.
pub(crate) fn each<T: Send>(
    what: &str,
    count: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let progress = Progress::start(what, u64::try_from(count)?);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let part = count.div_ceil(threads);
    let one = |n| {
        let result = work(n)?;
        progress.step();
        Ok(result)
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|thread| (part * thread).min(count)..(part * (thread + 1)).min(count))
            .map(|range| scope.spawn(|| range.map(one).collect::<Result<Vec<T>>>()))
            .collect();
        let mut all = Vec::with_capacity(count);
        for part in parts {
            all.extend(part.join().map_err(|_| anyhow!("a thread has panicked"))??);
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;

    #[tokio::test]
    async fn results_come_in_order_and_an_error_comes_through() {
        for count in [0, 1, 7, 100] {
            let squares: Vec<usize> = (0..count).map(|n| n * n).collect();
            assert_eq!(each("squares", count, |n| Ok(n * n)).unwrap(), squares);
        }
        let failed = each("odd", 100, |n| {
            ensure!(n != 57, "57 is no number");
            Ok(n)
        });
        assert_eq!(failed.unwrap_err().to_string(), "57 is no number");
    }
}
