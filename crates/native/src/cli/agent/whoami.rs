//! `rookery agent whoami`

use super::Profiles;
use super::output::Reply;
use anyhow::Result;
use clap::Args;

/// Show who the agent is, checked with its service
#[derive(Debug, Args)]
pub(super) struct WhoAmI {}

impl WhoAmI {
    pub(super) async fn run(self, profiles: &Profiles) -> Result<Reply> {
        let dir = profiles.chosen()?;
        let me = profiles.agent()?.whoami().await?;
        let correct = if me.handle_is_correct { "" } else { "  (does not point back to the DID)" };
        let terms = if me.terms_current {
            "signed"
        } else {
            "changed since they were signed; enroll again to accept them"
        };
        let collections =
            if me.collections.is_empty() { "none yet".to_owned() } else { me.collections.join(", ") };
        let text = format!(
            "{}{correct}\n  did          {}\n  service      {}\n  terms        {terms}\n  key          {} {}\n  \
             collections  {collections}\n  profile      {} ({})",
            me.handle,
            me.did,
            me.url,
            me.alg,
            me.thumbprint,
            dir.name(),
            dir.path().display(),
        );
        Reply::new(text, &me)
    }
}
