//! The floor of HTTP: a server that reads a request and answers with some bytes, in a process of its own so that its
//! processor time is known.

use crate::figures::{per, rate, round};
use crate::load::{self, Request};
use crate::process::usage;
use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tokio::net::TcpListener;

/// Requests that are sent: enough that ticks of 10 ms make no difference.
const REQUESTS: usize = 20_000;

/// Answers every request with the same bytes, on a port that it prints
#[derive(Debug, Parser)]
pub(crate) struct Hello {
    /// Bytes of an answer
    #[arg(long)]
    bytes: usize,
}

/// What it does when nothing is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    pub(crate) per_s: f64,
    /// Microseconds of its processor time for a request; none where that cannot be read.
    pub(crate) cpu_us: Option<f64>,
}

impl Bare {
    pub(crate) fn json(self) -> Value {
        json!({ "requests_per_s": round(self.per_s), "cpu_us": self.cpu_us.map(round) })
    }
}

impl Hello {
    /// Serves until it is ended.
    pub(crate) async fn run(&self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let body = Bytes::from(vec![b'a'; self.bytes]);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let body = body.clone();
            let answer = service_fn(move |request: http::Request<Incoming>| {
                let body = body.clone();
                async move {
                    request.into_body().collect().await?;
                    Ok::<_, hyper::Error>(Response::new(Full::new(body)))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    }
}

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends the same request again and again over so many connections, each answered with so many bytes.
pub(crate) async fn measure((request, bytes): &(Request, usize), connections: usize) -> Result<Bare> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["hello", "--bytes", &bytes.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Running(command.spawn().context("cannot start the floor of HTTP")?);
    let stdout = server.0.stdout.take().context("no stdout")?;
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address)?;

    let requests = vec![request.clone(); REQUESTS];
    let cpu = || usage(server.0.id()).map(|usage| usage.cpu);
    let (before, start) = (cpu(), Instant::now());
    load::run(address.trim(), "hellos", requests, connections, None, load::length).await?;
    let (time, after) = (start.elapsed(), cpu());
    let count = u64::try_from(REQUESTS)?;
    let used = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    let cpu_us = used.map(|used| per(used.as_secs_f64() * 1e6, count));
    Ok(Bare { per_s: rate(count, time), cpu_us })
}
