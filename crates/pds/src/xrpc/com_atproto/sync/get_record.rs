//! `com.atproto.sync.getRecord`: proof that a record is in a repo, or that it is not.
//!
//! A CAR whose root is the commit: the commit, the nodes from the top of the tree to the record or to where it would be, and
//! the record if there is one. That it is absent is an answer too, with a proof.

use crate::app::App;
use crate::error::{Result, internal};
use crate::http::params::Params;
use crate::http::reply::car;
use crate::repo::read;
use crate::store;
use crate::store::tree::Nodes;
use axum::extract::{Request, State};
use axum::response::Response;
use rookery_atproto::car::{header, section};
use rookery_atproto::mst::Mst;
use rookery_atproto::syntax::{AtIdentifier, Did, Nsid, RecordKey};
use std::sync::Arc;

pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let params = Params::of(&parts)?;
    let did: Did = params.required("did")?;
    let collection: Nsid = params.required("collection")?;
    let rkey: RecordKey = params.required("rkey")?;
    app.read(move |sql| {
        let repo = read::visible(sql, &AtIdentifier::Did(did))?.id;
        let (head, recent) = store::repo::head_and_recent(sql, repo)?;
        let mut out = header(&[head.commit]);
        section(&head.commit, &store::repo::commit_block(sql, repo)?, &mut out);
        let mut tree = Mst::open(Nodes { sql, repo, recent: &recent }, head.root);
        for (cid, block) in tree.path(&format!("{collection}/{rkey}")).map_err(|e| internal(e.to_string()))? {
            section(&cid, &block, &mut out);
        }
        if let Some(record) = store::record::get(sql, repo, &collection, &rkey)? {
            section(&record.cid, &record.body, &mut out);
        }
        Ok(car(out.into()))
    })
    .await
}
