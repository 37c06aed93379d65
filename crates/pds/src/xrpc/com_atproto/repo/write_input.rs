//! What the write endpoints have in common: who writes, to which repo, and their input and answer.

use crate::app::App;
use crate::error::{Result, invalid_request};
use crate::http::auth::{Agent, authenticate, require_own_repo};
use crate::http::body::Input;
use crate::repo::commit::Committed;
use axum::extract::Request;
use rookery_atproto::data::Cid;
use rookery_atproto::syntax::AtIdentifier;
use serde::Serialize;
use std::sync::Arc;

/// What `createRecord` and `putRecord` answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Written {
    pub uri: String,
    pub cid: Cid,
    /// None when nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Committed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_status: Option<&'static str>,
}

/// Authenticates the request, then reads its input, then makes sure that it names the agent's own repo. A stranger's body is
/// not read.
pub(super) async fn read(app: &App, request: Request, limit: usize) -> Result<(Agent, Input)> {
    let (parts, body) = request.into_parts();
    let mut agent = authenticate(app, &parts).await?;
    let mut held = app.bodies.none(Some(agent.account));
    let input = Input::read(&parts, body, limit, &mut held).await?;
    agent.body = Some(Arc::new(held));
    let repo: AtIdentifier = input.required("repo")?;
    require_own_repo(app, &agent, &repo).await?;
    Ok((agent, input))
}

/// The `validationStatus` to answer: `unknown`, or none when the client turned validation off. No lexicon is known here, so
/// validation cannot be required.
pub(super) fn validation_status(input: &Input) -> Result<Option<&'static str>> {
    match input.flag("validate")? {
        None => Ok(Some("unknown")),
        Some(false) => Ok(None),
        Some(true) => Err(invalid_request(
            "This server knows no lexicons and cannot validate records. Leave out \"validate\", or set it to false.",
        )),
    }
}

/// `at://did/collection/rkey`.
pub(super) fn uri(agent: &Agent, collection: impl std::fmt::Display, rkey: impl std::fmt::Display) -> String {
    format!("at://{}/{collection}/{rkey}", agent.did)
}
