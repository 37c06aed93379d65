//! What `com.atproto.repo` endpoints take and answer.

use rookery_atproto::data::Cid;
use rookery_atproto::syntax::{AtUri, Did, Handle, Tid};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The commit that a write made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitMeta {
    /// CID of the signed commit.
    pub cid: Cid,
    /// Revision of the repo; every commit's is greater than the one before.
    pub rev: Tid,
}

/// A record that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Where the record is now.
    pub uri: AtUri,
    /// CID of the record as it was stored.
    pub cid: Cid,
    /// The commit; absent when the record already was like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitMeta>,
    /// `valid`, `unknown` (the server does not know the lexicon), or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_status: Option<String>,
}

/// A record that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The commit; absent when there was no such record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitMeta>,
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "$type")]
pub enum Write {
    /// A new record.
    #[serde(rename = "com.atproto.repo.applyWrites#create")]
    Create {
        /// NSID of the collection.
        collection: String,
        /// Record key; the server takes a TID when there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        rkey: Option<String>,
        /// The record.
        value: Value,
    },
    /// A new value for a record that exists.
    #[serde(rename = "com.atproto.repo.applyWrites#update")]
    Update {
        /// NSID of the collection.
        collection: String,
        /// Record key.
        rkey: String,
        /// The record.
        value: Value,
    },
    /// The end of a record.
    #[serde(rename = "com.atproto.repo.applyWrites#delete")]
    Delete {
        /// NSID of the collection.
        collection: String,
        /// Record key.
        rkey: String,
    },
}

/// What became of a batch: all of it happened, in one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The commit; absent when nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitMeta>,
    /// One for each write, in order.
    #[serde(default)]
    pub results: Vec<WriteResult>,
}

/// What became of one write of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "$type")]
pub enum WriteResult {
    /// It was created.
    #[serde(rename = "com.atproto.repo.applyWrites#createResult", rename_all = "camelCase")]
    Create {
        /// Where the record is.
        uri: AtUri,
        /// CID of the record.
        cid: Cid,
        /// As in [`Written`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation_status: Option<String>,
    },
    /// It was updated.
    #[serde(rename = "com.atproto.repo.applyWrites#updateResult", rename_all = "camelCase")]
    Update {
        /// Where the record is.
        uri: AtUri,
        /// CID of the record.
        cid: Cid,
        /// As in [`Written`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation_status: Option<String>,
    },
    /// It was deleted.
    #[serde(rename = "com.atproto.repo.applyWrites#deleteResult")]
    Delete {},
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Where it is.
    pub uri: AtUri,
    /// CID of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<Cid>,
    /// The record itself.
    pub value: Value,
}

/// Which part of a collection to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// At most this many, 1 to 100; the server's default is 50.
    pub limit: Option<u16>,
    /// Where the page before this one ended.
    pub cursor: Option<String>,
    /// Oldest first.
    pub reverse: bool,
}

/// A page of a collection, newest first unless asked otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A repo as its host describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepoDescription {
    /// Whose repo it is.
    pub did: Did,
    /// The account's handle.
    pub handle: Handle,
    /// The DID document.
    pub did_doc: Value,
    /// NSIDs of the collections that have records.
    pub collections: Vec<String>,
    /// True when the handle points back to the DID.
    pub handle_is_correct: bool,
}

/// A service as it describes itself. Members that are not named here are in `more`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerDescription {
    /// The service's own DID.
    pub did: Did,
    /// Domains under which it gives handles, each with its leading dot.
    #[serde(default)]
    pub available_user_domains: Vec<String>,
    /// Everything else it says.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_batch_is_written_as_the_lexicon_says() {
        let writes = [
            Write::Create { collection: "a.b.c".into(), rkey: None, value: json!({"x": 1}) },
            Write::Delete { collection: "a.b.c".into(), rkey: "k".into() },
        ];
        assert_eq!(
            serde_json::to_value(&writes).unwrap(),
            json!([
                {"$type": "com.atproto.repo.applyWrites#create", "collection": "a.b.c", "value": {"x": 1}},
                {"$type": "com.atproto.repo.applyWrites#delete", "collection": "a.b.c", "rkey": "k"},
            ])
        );
    }

    #[test]
    fn results_of_a_batch_are_told_apart_by_their_type() {
        let applied: Applied = serde_json::from_value(json!({
            "commit": {"cid": "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "rev": "3l2a2b3c4d5e2"},
            "results": [
                {"$type": "com.atproto.repo.applyWrites#createResult", "uri": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/a.b.c/k",
                 "cid": "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "validationStatus": "unknown"},
                {"$type": "com.atproto.repo.applyWrites#deleteResult"},
            ],
        }))
        .unwrap();
        assert!(
            matches!(&applied.results[0], WriteResult::Create { validation_status: Some(s), .. } if s == "unknown")
        );
        assert_eq!(applied.results[1], WriteResult::Delete {});
        assert_eq!(applied.commit.unwrap().rev.to_string(), "3l2a2b3c4d5e2");
    }
}
