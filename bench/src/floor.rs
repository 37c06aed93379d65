//! What the machine does when nothing but the bytes is moved.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The time in which every one of `readers` gets `pieces` pieces of `size` bytes over a loopback TCP connection of its own,
/// each piece written by itself.
pub(crate) async fn tcp(readers: usize, size: usize, pieces: u64) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let piece: Arc<[u8]> = vec![0x5a; size].into();
    let mut pairs = Vec::with_capacity(readers);
    for _ in 0..readers {
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let far = far.context("cannot accept")?.0;
        far.set_nodelay(true)?;
        pairs.push((near?, far));
    }
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (mut near, mut far) in pairs {
        let piece = Arc::clone(&piece);
        tasks.spawn(async move {
            for _ in 0..pieces {
                far.write_all(&piece).await?;
            }
            far.shutdown().await
        });
        tasks.spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while near.read(&mut buffer).await? > 0 {}
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(start.elapsed())
}

/// How many appends of `size` bytes a second reach the disk, one after the other, each with its own fsync.
pub(crate) fn appends(dir: &Path, size: usize, time: Duration) -> Result<f64> {
    let path = tempfile::NamedTempFile::new_in(dir).context("cannot make a file for the fsync floor")?;
    let mut file: &File = path.as_file();
    let (bytes, start) = (vec![0x5a; size], Instant::now());
    let mut count = 0;
    while start.elapsed() < time {
        file.write_all(&bytes)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(crate::figures::rate(count, start.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_floors_move_what_they_are_told() {
        assert!(tcp(3, 1_000, 100).await.unwrap() > Duration::ZERO);
        assert!(appends(&std::env::temp_dir(), 100, Duration::from_millis(1)).unwrap() > 0.0);
    }
}
