//! `rookery agent enroll URL HANDLE`

use super::Profiles;
use super::output::Reply;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rookery_client::keys::{AgentKey, Alg};
use rookery_client::{Agent, Origin, Profile, ProfileDir, RecoveryKey, Retry};
use serde_json::json;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

/// Enroll with a service: make a key, sign the service's terms, get a DID and a handle
///
/// Enrolling again with the same profile accepts changed terms, or goes on where an earlier try stopped: same key,
/// same account.
#[derive(Debug, Args)]
#[command(after_help = "Example: rookery agent enroll http://localhost:2583 alice")]
pub(super) struct Enroll {
    /// Any URL of the service; an invite link is passed on as it is
    url: String,
    /// The wished handle: alice, or alice.example.com
    handle: String,
    /// The key's algorithm: rs256 works with every WelcomeMat service; es256 and eddsa are made in no time and sign a
    /// hundred times cheaper, where the service's welcome.md lists them [default: rs256]
    #[arg(long, value_enum)]
    alg: Option<AlgName>,
    /// Do without a recovery key. Then only the service can move the identity
    #[arg(long)]
    no_recovery_key: bool,
    /// The entry URL you were handed, when it is another than URL
    #[arg(long = "ref", value_name = "URL")]
    ref_: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AlgName {
    /// RSA with 4096 bits
    Rs256,
    /// P-256
    Es256,
    /// Ed25519
    Eddsa,
}

impl AlgName {
    fn alg(self) -> Alg {
        match self {
            Self::Rs256 => Alg::Rs256,
            Self::Es256 => Alg::Es256,
            Self::Eddsa => Alg::EdDsa,
        }
    }
}

impl Enroll {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let origin = Origin::parse(&self.url)?;
        let label = self.handle.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let dir = profiles.store.profile(profiles.name.as_deref().unwrap_or(&label))?;
        let known = dir.load()?;
        if let Some(known) = &known {
            self.ensure_same(known, &origin, &dir)?;
        }
        let agent = match known {
            Some(_) => consent_again(&dir).await?,
            None => self.enroll(&dir).await?,
        };
        agent.save(&dir)?;
        profiles.store.set_current(dir.name())?;
        reply(&agent, &dir)
    }

    /// A profile belongs to one account.
    fn ensure_same(&self, known: &Profile, origin: &Origin, dir: &ProfileDir) -> Result<()> {
        let handle = self.handle.to_ascii_lowercase();
        let same_handle =
            known.handle.as_str() == handle || known.handle.as_str().split('.').next() == Some(&handle);
        ensure!(
            same_handle && known.url == origin.as_str(),
            "the profile {} is {} at {} already; choose another name with --profile",
            dir.name(),
            known.handle,
            known.url
        );
        Ok(())
    }

    /// Keys are on disk before the service hears of them: they are the account.
    async fn enroll(self, dir: &ProfileDir) -> Result<Agent> {
        let key = match dir.load_key()? {
            Some(key) => {
                let wanted = self.alg.map_or(key.alg(), AlgName::alg);
                ensure!(
                    wanted == key.alg(),
                    "the profile {} has a key for {} from an earlier try; leave out --alg or choose another --profile",
                    dir.name(),
                    key.alg().as_str()
                );
                key
            }
            None => {
                let key = make_key(self.alg.unwrap_or(AlgName::Rs256)).await?;
                dir.save_key(&key)?;
                key
            }
        };
        let recovery_key = match (self.no_recovery_key, dir.load_recovery_key()?) {
            (true, _) => None,
            (false, Some(saved)) => Some(saved),
            (false, None) => {
                let made = RecoveryKey::generate()?;
                dir.save_recovery_key(&made)?;
                Some(made)
            }
        };
        let enroll = rookery_client::Enroll {
            url: self.url,
            handle: self.handle,
            key,
            recovery_key,
            ref_: self.ref_,
            retry: Retry::default(),
        };
        Agent::enroll(enroll).await.with_context(|| {
            format!("not enrolled; the key stays in {} for the next try", dir.path().display())
        })
    }
}

async fn consent_again(dir: &ProfileDir) -> Result<Agent> {
    let agent = Agent::from_profile(dir)?;
    agent.reconsent().await?;
    Ok(agent)
}

fn reply(agent: &Agent, dir: &ProfileDir) -> Result<Reply> {
    let recovery = agent.profile().recovery_key;
    let origin = agent.origin();
    let mut text = format!(
        "enrolled {}\n  did       {}\n  terms     signed, {origin}/tos\n  profile   {} ({})",
        agent.handle(),
        agent.did(),
        dir.name(),
        dir.path().display(),
    );
    match &recovery {
        Some(_) => write!(text, "\n  recovery  recovery.key, in the same place: keep a copy elsewhere")?,
        None => write!(text, "\n  recovery  none: only the service can move this identity")?,
    }
    write!(text, "\nnext: rookery agent create app.bsky.feed.post '{{\"text\":\"hello\"}}'")?;
    let json = json!({
        "url": origin.as_str(),
        "did": agent.did(),
        "handle": agent.handle(),
        "alg": agent.key().alg().as_str(),
        "thumbprint": agent.key().thumbprint().to_string(),
        "recoveryKey": recovery,
        "profile": dir.name(),
        "path": dir.path(),
    });
    Reply::new(text, &json)
}

/// Makes a key; on a terminal with a sign of life, since RSA takes seconds.
async fn make_key(alg: AlgName) -> Result<AgentKey> {
    let making = AgentKey::generate(alg.alg());
    if alg != AlgName::Rs256 || !io::stderr().is_terminal() {
        return Ok(making.await?);
    }
    let key = tokio::select! {
        key = making => key,
        never = show_life() => match never {},
    };
    let _ = writeln!(io::stderr());
    Ok(key?)
}

async fn show_life() -> Infallible {
    let _ = write!(io::stderr(), "making an RSA-4096 key, which takes a few seconds ");
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let _ = write!(io::stderr(), ".");
    }
}
