//! `com.atproto.repo.applyWrites`: up to 200 creates, updates and deletes in one commit, all or none.

use super::write_input::{self, Written, uri, validation_status};
use crate::app::App;
use crate::config::limits;
use crate::error::{Result, invalid_request};
use crate::http::auth::Agent;
use crate::http::body::Input;
use crate::http::reply::Json;
use crate::repo::commit::{Batch, Committed, Write, commit};
use crate::repo::record::encode;
use axum::extract::{Request, State};
use rookery_atproto::data;
use rookery_atproto::repo::Action;
use rookery_atproto::syntax::{Nsid, RecordKey};
use serde::Serialize;
use std::sync::Arc;

const NSID: &str = "com.atproto.repo.applyWrites";

#[derive(Serialize)]
pub(crate) struct Answer {
    /// None when nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Committed>,
    /// One for each write, in order.
    results: Vec<WriteResult>,
}

#[derive(Serialize)]
#[serde(tag = "$type")]
enum WriteResult {
    #[serde(rename = "com.atproto.repo.applyWrites#createResult")]
    Create(Written),
    #[serde(rename = "com.atproto.repo.applyWrites#updateResult")]
    Update(Written),
    #[serde(rename = "com.atproto.repo.applyWrites#deleteResult")]
    Delete {},
}

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Json<Answer>> {
    let (agent, mut input) = write_input::read(&app, request, limits::BATCH_BODY).await?;
    let validation_status = validation_status(&input)?;
    let swap_commit = input.optional("swapCommit")?;
    let data::Value::List(items) = input.take_required("writes")? else {
        return Err(invalid_request("\"writes\" must be an array."));
    };
    if items.len() > limits::WRITES {
        return Err(invalid_request(format!("Too many writes. Max: {}", limits::WRITES)));
    }
    let mut writes = Vec::with_capacity(items.len());
    let mut results = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let item = Input::nested(item, &format!("writes[{at}]"))?;
        let write = read_write(&app, item).map_err(|mut error| {
            error.message = format!("writes[{at}]: {}", error.message).into();
            error
        })?;
        results.push(WriteResult::of(&agent, &write, validation_status));
        writes.push(write);
    }
    let commit = commit(&app, &agent, Batch { writes, swap_commit }).await?;
    Ok(Json(Answer { commit, results }))
}

fn read_write(app: &App, mut item: Input) -> Result<Write> {
    let kind: String = item.required("$type")?;
    let collection: Nsid = item.required("collection")?;
    match kind.strip_prefix(NSID).unwrap_or(&kind) {
        "#create" => {
            let rkey = match item.optional("rkey")? {
                Some(rkey) => rkey,
                None => RecordKey::from(app.tids.next(app.now_micros().unsigned_abs())),
            };
            let record = encode(&collection, &item.take_required("value")?)?;
            Ok(Write::of(collection, rkey, record, Action::Create))
        }
        "#update" => {
            let rkey = item.required("rkey")?;
            let record = encode(&collection, &item.take_required("value")?)?;
            Ok(Write::of(collection, rkey, record, Action::Update))
        }
        "#delete" => Ok(Write::delete(collection, item.required("rkey")?)),
        _ => Err(invalid_request(format!(
            "\"$type\" must be {NSID}#create, {NSID}#update or {NSID}#delete, not {kind:?}."
        ))),
    }
}

impl WriteResult {
    fn of(agent: &Agent, write: &Write, validation_status: Option<&'static str>) -> Self {
        let written = |cid| Written {
            uri: uri(agent, &write.collection, &write.rkey),
            cid,
            commit: None,
            validation_status,
        };
        match write.action {
            Action::Create(cid) => Self::Create(written(cid)),
            Action::Update(cid) | Action::Put(cid) => Self::Update(written(cid)),
            Action::Delete => Self::Delete {},
        }
    }
}
