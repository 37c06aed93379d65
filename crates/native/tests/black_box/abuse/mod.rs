//! Who asks for too much, and what that does to the others. Only here are the limits on.

mod bodies;
mod connections;
mod proofs;
mod rates;

use crate::server::{Server, serve};
use rookery_testkit::Target;
use rookery_testkit::answer::Answer;
use std::path::Path;
use std::process::Command;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A server with limits, and these settings.
fn limited(data_dir: &Path, settings: &[(&str, &str)]) -> Server {
    let mut command: Command = serve(data_dir);
    command.env("ROOKERY_RATE_LIMITS", "on").envs(settings.iter().copied());
    Server::run(command)
}

/// Audits what a server has told whose limits are too tight for an audit.
fn audited(server: Server, data_dir: &Path) {
    server.kill();
    drop(Server::start(data_dir));
}

/// A `GET` by way of the reverse proxy on this machine, which says that it is for `address`.
async fn get_as(target: &Target, address: &str, path: &str) -> Answer {
    let headers = [("x-forwarded-for", address.as_bytes())];
    target.send("GET", &format!("{}{path}", target.url), &headers, Default::default()).await
}

/// A connection that stays open.
struct Line(BufReader<TcpStream>);

impl Line {
    async fn open(target: &Target) -> Self {
        Self::try_open(target).await.unwrap()
    }

    async fn try_open(target: &Target) -> std::io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(target.authority()).await?)))
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes).await
    }

    /// Sends a request and reads its answer; the status. None when the connection ends before.
    async fn ask(&mut self, request: &[u8]) -> Option<u16> {
        self.send(request).await.ok()?;
        self.status().await
    }

    /// Waits for the beginning of an answer, and leaves it unread.
    async fn begins(&mut self) -> bool {
        self.0.get_ref().readable().await.is_ok()
    }

    async fn status(&mut self) -> Option<u16> {
        let (mut status, mut length, mut line) = (None, 0, Vec::new());
        while line != b"\r\n" {
            line.clear();
            self.0.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
            if status.is_none() {
                status = line.get(9..12).map(|digits| std::str::from_utf8(digits).unwrap().parse().unwrap());
            } else if line.starts_with(b"content-length:") {
                length = std::str::from_utf8(&line[15..]).unwrap().trim().parse().unwrap();
            }
        }
        self.0.read_exact(&mut vec![0; length]).await.ok()?;
        status
    }
}

/// A request for something small.
fn health(target: &Target) -> Vec<u8> {
    format!("GET /xrpc/_health HTTP/1.1\r\nHost: {}\r\n\r\n", target.authority()).into_bytes()
}
