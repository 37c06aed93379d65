//! Agents that enroll, each acknowledged once its account is on disk.

use crate::agents;
use crate::figures::{Spread, or_unknown, print, rate, round};
use crate::floor::{self, Least};
use crate::hello;
use crate::host::Host;
use crate::keys::Keys;
use crate::progress::say;
use anyhow::Result;
use clap::Parser;
use serde_json::json;
use std::time::Duration;

/// Bytes of one append of the floor.
const APPEND: usize = 32 * 1024;
const FLOOR: Duration = Duration::from_secs(2);
/// Signatures that are checked: of the terms, the token and the proof.
const VERIFIED: u64 = 3;
/// Signatures that are made: of the operation of the DID and of the first commit.
const SIGNED: u64 = 2;

/// Enrollments, with everything signed before
#[derive(Debug, Parser)]
pub(crate) struct Signup {
    /// How many
    #[arg(long, default_value_t = 2_000)]
    signups: usize,
    /// Connections: that many at the same time
    #[arg(long, default_value_t = 32)]
    connections: usize,
    #[command(flatten)]
    keys: Keys,
}

impl Signup {
    pub(crate) async fn run(&self, host: &Host) -> Result<()> {
        let enrolled = agents::measured(host, &self.keys, self.signups, self.connections).await?;
        say("the floor: appends with an fsync each, HTTP without anything to do, signatures");
        let floor = floor::appends(host.dir(), APPEND, FLOOR)?;
        let (verify, sign) = floor::signatures(self.keys.algorithm)?;
        let bare = hello::measure(&enrolled.sample, self.connections).await?;
        let least = Least { http: bare.cpu_us, verify, sign };
        let verified = if host.has_sessions() { 0 } else { VERIFIED };
        let count = u64::try_from(self.signups)?;
        let (per_s, cpu) = (rate(count, enrolled.time), enrolled.used.server_us_per(count));
        let of_least = cpu.zip(least.of(verified, SIGNED)).map(|(cpu, least)| cpu / least);
        let times = Spread::of(enrolled.times);
        print(
            &json!({
                "scenario": "signup", "signups": count, "connections": self.connections,
                "credential": agents::credential(host, &self.keys), "signups_per_s": round(per_s), "time": times.json(),
                "server_cpu_us_per_signup": cpu, "used": enrolled.used.json(),
                "floor_fsyncs_per_s": round(floor), "of_floor": round(per_s / floor),
                "floor_cpu": least.json(verified, SIGNED), "cpu_of_floor": of_least.map(round),
            }),
            &format!(
                "{per_s:.0} signups/s ({}) over {} connections, p50 {} ms, p99 {} ms, {} us of CPU each ({} us of HTTP and \
                 signatures)",
                agents::credential(host, &self.keys),
                self.connections,
                times.p50_ms,
                times.p99_ms,
                or_unknown(cpu),
                or_unknown(least.of(verified, SIGNED)),
            ),
        );
        Ok(())
    }
}
