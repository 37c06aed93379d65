//! What the machine does when nothing but the necessary is done.

use crate::figures::{per, rate, real, round};
use crate::keys::Algorithm;
use anyhow::{Context, Result, ensure};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use rookery_atproto::crypto::{Curve, SecretKey};
use rookery_auth::jwk::PublicJwk;
use rookery_auth::mint::Signer;
use serde_json::{Value, json};
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long a signature is made, or checked, again and again, and how often that is done.
const ROUND: Duration = Duration::from_millis(5);
const ROUNDS: u32 = 100;
/// Bytes that are signed: about what a proof has.
const MESSAGE: [u8; 600] = [b'a'; 600];

/// Processor time of what a request cannot do without, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least {
    /// A request and its answer over HTTP, nothing done; none where it cannot be measured.
    pub(crate) http: Option<f64>,
    /// Checking one signature of the agent's.
    pub(crate) verify: f64,
    /// Making one of the account's.
    pub(crate) sign: f64,
}

impl Least {
    /// With so many signatures checked and made.
    pub(crate) fn of(self, verified: u64, signed: u64) -> Option<f64> {
        let times = |one: f64, count| one * real(count);
        Some(self.http? + times(self.verify, verified) + times(self.sign, signed))
    }

    /// For JSON, with the sum.
    pub(crate) fn json(self, verified: u64, signed: u64) -> Value {
        json!({
            "http_us": self.http.map(round), "verify_us": round(self.verify), "sign_us": round(self.sign),
            "sum_us": self.of(verified, signed).map(round),
        })
    }
}

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
    Ok(rate(count, start.elapsed()))
}

/// Microseconds of one thread for checking a signature with this algorithm as the server does it, and for making one with the
/// key of an account.
pub(crate) fn signatures(algorithm: Algorithm) -> Result<(f64, f64)> {
    let key = algorithm.key();
    let signature = key.sign(&MESSAGE)?;
    let parsed = parse(key.jwk())?;
    ensure!(parsed.verify_sig(&MESSAGE, &signature).is_ok(), "a signature does not verify");
    let verify = repeated(|| parsed.verify_sig(black_box(&MESSAGE), black_box(&signature)).is_ok());
    let account = SecretKey::from_bytes(Curve::K256, &[7; 32])?;
    Ok((verify, repeated(|| account.sign(black_box(&MESSAGE)))))
}

/// As the server keeps keys: parsed, so that a check costs no more than the arithmetic.
fn parse(key: &PublicJwk) -> Result<ParsedPublicKey> {
    let parsed = match key {
        PublicJwk::Rsa { n, e } => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        }
        PublicJwk::P256 { x, y } => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], x.as_slice(), y].concat())
        }
        PublicJwk::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
    };
    parsed.context("a new key is refused")
}

/// The fastest of some rounds: what else the machine does only adds.
fn repeated<T>(work: impl Fn() -> T) -> f64 {
    let round = || {
        let (mut count, start) = (0, Instant::now());
        while start.elapsed() < ROUND {
            black_box(work());
            count += 1;
        }
        per(start.elapsed().as_secs_f64() * 1e6, count)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_floors_move_what_they_are_told() {
        assert!(tcp(3, 1_000, 100).await.unwrap() > Duration::ZERO);
        assert!(appends(&std::env::temp_dir(), 100, Duration::from_millis(1)).unwrap() > 0.0);
        for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
            let (verify, sign) = signatures(algorithm).unwrap();
            assert!(verify > 0.0 && sign > 0.0);
        }
    }
}
