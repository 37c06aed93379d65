//! Records and repos: `com.atproto.repo`, and the export of `com.atproto.sync`.

use crate::agent::Agent;
use crate::connection::{Proof, Request, transport};
use crate::error::{Error, Result};
use crate::records::{
    Applied, Deleted, Listing, Page, Record, RepoDescription, ServerDescription, Write, Written,
};
use rookery_atproto::syntax::Tid;
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};

impl Agent {
    /// Creates a record. Without a record key the server takes a TID; `$type` is filled in when it is missing.
    pub async fn create_record(
        &self,
        collection: &str,
        rkey: Option<&str>,
        record: &Value,
    ) -> Result<Written> {
        let mut input = json!({ "repo": self.did(), "collection": collection, "record": record });
        if let (Some(rkey), Some(members)) = (rkey, input.as_object_mut()) {
            members.insert("rkey".to_owned(), rkey.into());
        }
        self.procedure("com.atproto.repo.createRecord", &input).await
    }

    /// Reads a record of the agent's own repo.
    pub async fn get_record(&self, collection: &str, rkey: &str) -> Result<Record> {
        self.get_record_from(self.did().as_str(), collection, rkey).await
    }

    /// Reads a record of any repo on this service, by DID or handle.
    pub async fn get_record_from(&self, repo: &str, collection: &str, rkey: &str) -> Result<Record> {
        let params = [("repo", repo), ("collection", collection), ("rkey", rkey)];
        self.public_query("com.atproto.repo.getRecord", &params).await
    }

    /// Lists a page of a collection of the agent's own repo.
    pub async fn list_records(&self, collection: &str, listing: &Listing) -> Result<Page> {
        self.list_records_from(self.did().as_str(), collection, listing).await
    }

    /// Lists a page of a collection of any repo on this service, by DID or handle.
    pub async fn list_records_from(&self, repo: &str, collection: &str, listing: &Listing) -> Result<Page> {
        let limit = listing.limit.map(|limit| limit.to_string());
        let mut params = vec![("repo", repo), ("collection", collection)];
        if let Some(limit) = &limit {
            params.push(("limit", limit));
        }
        if let Some(cursor) = &listing.cursor {
            params.push(("cursor", cursor));
        }
        if listing.reverse {
            params.push(("reverse", "true"));
        }
        self.public_query("com.atproto.repo.listRecords", &params).await
    }

    /// Creates or replaces a record.
    pub async fn put_record(&self, collection: &str, rkey: &str, record: &Value) -> Result<Written> {
        let input = json!({ "repo": self.did(), "collection": collection, "rkey": rkey, "record": record });
        self.procedure("com.atproto.repo.putRecord", &input).await
    }

    /// Deletes a record. That there is none is no error: then there is no commit either.
    pub async fn delete_record(&self, collection: &str, rkey: &str) -> Result<Deleted> {
        let input = json!({ "repo": self.did(), "collection": collection, "rkey": rkey });
        self.procedure("com.atproto.repo.deleteRecord", &input).await
    }

    /// Carries out up to 200 writes in one commit: all of them or none.
    pub async fn apply_writes(&self, writes: &[Write]) -> Result<Applied> {
        let input = json!({ "repo": self.did(), "writes": writes });
        self.procedure("com.atproto.repo.applyWrites", &input).await
    }

    /// Describes the agent's own repo.
    pub async fn describe_repo(&self) -> Result<RepoDescription> {
        self.public_query("com.atproto.repo.describeRepo", &[("repo", self.did().as_str())]).await
    }

    /// Describes the service.
    pub async fn describe_server(&self) -> Result<ServerDescription> {
        self.public_query("com.atproto.server.describeServer", &[]).await
    }

    /// Streams the agent's repo as a CAR file into `out` and returns its length in bytes; with `since`, only what changed
    /// after that revision. On an error `out` has got a part only.
    pub async fn get_repo(
        &self,
        since: Option<Tid>,
        out: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64> {
        let since = since.map(|rev| rev.to_string());
        let mut params = vec![("did", self.did().as_str())];
        if let Some(since) = &since {
            params.push(("since", since));
        }
        let url = self.xrpc_url("com.atproto.sync.getRepo", &params);
        let mut response = self.connection().open(&Request::get(url.clone(), Proof::None)).await?;
        let write_failed = |cause| Error::io("cannot write the repo", cause);
        let mut length: u64 = 0;
        while let Some(chunk) = response.chunk().await.map_err(|cause| transport(&url, cause))? {
            out.write_all(&chunk).await.map_err(write_failed)?;
            length = length.saturating_add(chunk.len() as u64);
        }
        out.flush().await.map_err(write_failed)?;
        Ok(length)
    }
}
