//! An agent that does things right unless told otherwise.

use crate::answer::Answer;
use crate::forge::{Jwt, b64u};
use crate::keys::{TestKey, unique};
use crate::target::{Target, now, query_string, text};
use bytes::Bytes;
use rookery_auth::mint::{Signer, tos_signature};
use serde_json::{Value, json};

/// An enrolled agent.
#[derive(Clone, Debug)]
pub struct TestAgent {
    /// Where it lives.
    pub target: Target,
    /// Who it is.
    pub key: TestKey,
    /// Its identity.
    pub did: String,
    /// Its handle.
    pub handle: String,
    /// Its access token.
    pub token: String,
    /// Seconds that its clock is ahead. Proofs of the second in which a host was started again are refused; those of an agent
    /// whose clock is ahead are taken at once.
    pub ahead: i64,
}

/// A record that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its AT-URI.
    pub uri: String,
    /// Its hash.
    pub cid: String,
    /// The commit that wrote it; none when nothing changed.
    pub commit: Option<(String, String)>,
    /// What validation said.
    pub validation_status: Option<String>,
}

impl Written {
    /// The last part of the URI.
    pub fn rkey(&self) -> &str {
        self.uri.rsplit('/').next().unwrap_or_default()
    }

    /// Reads the answer of `createRecord` or `putRecord`.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let body = answer.ok();
        Self {
            uri: text(&body, "uri"),
            cid: text(&body, "cid"),
            commit: commit_of(&body),
            validation_status: body.get("validationStatus").map(|status| status.as_str().unwrap().to_owned()),
        }
    }
}

/// CID and revision in the `commit` of an answer.
#[track_caller]
pub fn commit_of(body: &Value) -> Option<(String, String)> {
    body.get("commit").map(|commit| (text(commit, "cid"), text(commit, "rev")))
}

/// The good body of an enrollment.
pub fn signup_body(target: &Target, key: &TestKey, terms: &[u8], handle: &str) -> Value {
    json!({
        "handle": handle,
        "tos_signature": tos_signature(key, terms).unwrap(),
        "access_token": Jwt::token(key, terms, &target.url).sign(key),
    })
}

/// Posts the body of an enrollment with a good proof.
pub async fn signup(target: &Target, key: &TestKey, body: &Value) -> Answer {
    try_signup(target, key, body).await.unwrap()
}

/// The same, for hosts that may be stopped at any time.
pub async fn try_signup(target: &Target, key: &TestKey, body: &Value) -> Result<Answer, reqwest::Error> {
    let url = format!("{}/api/signup", target.url);
    let proof = Jwt::proof(key, "POST", &url, None).sign(key);
    let headers = [("dpop", proof.as_bytes()), ("content-type", b"application/json".as_slice())];
    target.try_send("POST", &url, &headers, body.to_string().into()).await
}

impl TestAgent {
    /// A new agent with a P-256 key and a handle of its own.
    pub async fn enroll(target: &Target) -> Self {
        Self::enroll_as(target, TestKey::p256(), &unique()).await
    }

    /// Enrolls this key under this handle, or consents again.
    pub async fn enroll_as(target: &Target, key: TestKey, handle: &str) -> Self {
        let terms = target.terms().await;
        let body = signup_body(target, &key, &terms, handle);
        Self::of(target, key.clone(), &signup(target, &key, &body).await)
    }

    /// The agent that an enrollment was answered to.
    #[track_caller]
    pub fn of(target: &Target, key: TestKey, answer: &Answer) -> Self {
        let body = answer.ok();
        assert_eq!(text(&body, "token_type"), "DPoP");
        Self {
            target: target.clone(),
            key,
            did: text(&body, "did"),
            handle: text(&body, "handle"),
            token: text(&body, "access_token"),
            ahead: 0,
        }
    }

    /// The same agent at another URL of its host: tokens name the URL they are for.
    pub async fn at(&self, target: &Target) -> Self {
        let token = Jwt::token(&self.key, &target.terms().await, &target.url).sign(&self.key);
        Self { target: target.clone(), token, ..self.clone() }
    }

    /// A good proof for one XRPC procedure.
    pub fn proof(&self, nsid: &str) -> Jwt {
        let proof = Jwt::proof(&self.key, "POST", &self.target.xrpc(nsid), Some(&self.token));
        proof.claim("iat", now() + self.ahead)
    }

    /// Posts bytes of a content type, with a good proof.
    pub async fn post(&self, nsid: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        self.try_post(nsid, content_type, body.into()).await.unwrap()
    }

    /// The same, for hosts that may be stopped at any time.
    pub async fn try_post(
        &self,
        nsid: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Answer, reqwest::Error> {
        let proof = self.proof(nsid).sign(&self.key);
        let authorization = format!("DPoP {}", self.token);
        let headers = [
            ("authorization", authorization.as_bytes()),
            ("dpop", proof.as_bytes()),
            ("content-type", content_type.as_bytes()),
        ];
        self.target.try_send("POST", &self.target.xrpc(nsid), &headers, body).await
    }

    /// Uploads a blob of a type, or of one that is to be found out; the blob object in the answer.
    pub async fn upload(&self, mime_type: Option<&str>, bytes: impl Into<Bytes>) -> Value {
        let answer = self.try_upload(mime_type, bytes.into()).await.unwrap();
        answer.ok()["blob"].clone()
    }

    /// The same, for what may be refused, and for hosts that may be stopped at any time.
    pub async fn try_upload(&self, mime_type: Option<&str>, bytes: Bytes) -> Result<Answer, reqwest::Error> {
        let proof = self.proof(UPLOAD).sign(&self.key);
        let authorization = format!("DPoP {}", self.token);
        let mut headers = vec![("authorization", authorization.as_bytes()), ("dpop", proof.as_bytes())];
        headers.extend(mime_type.map(|mime_type| ("content-type", mime_type.as_bytes())));
        self.target.try_send("POST", &self.target.xrpc(UPLOAD), &headers, bytes).await
    }

    /// A query that asks who asks.
    pub async fn ask(&self, nsid: &str, params: &[(&str, &str)]) -> Answer {
        let url = self.target.xrpc(nsid);
        let proof = Jwt::proof(&self.key, "GET", &url, Some(&self.token)).sign(&self.key);
        let authorization = format!("DPoP {}", self.token);
        let headers = [("authorization", authorization.as_bytes()), ("dpop", proof.as_bytes())];
        self.target.send("GET", &format!("{url}?{}", query_string(params)), &headers, Bytes::new()).await
    }

    /// `getBlob` of its own.
    pub async fn get_blob(&self, cid: &str) -> Answer {
        self.target.query(GET_BLOB, &[("did", &self.did), ("cid", cid)]).await
    }

    /// A procedure with `repo` filled in.
    pub async fn call(&self, nsid: &str, input: Value) -> Answer {
        self.try_call(nsid, input).await.unwrap()
    }

    /// The same, for hosts that may be stopped at any time.
    pub async fn try_call(&self, nsid: &str, mut input: Value) -> Result<Answer, reqwest::Error> {
        if input.get("repo").is_none() {
            input["repo"] = self.did.clone().into();
        }
        self.try_post(nsid, "application/json", input.to_string().into()).await
    }

    /// Creates a record under a generated key.
    pub async fn create(&self, collection: &str, value: Value) -> Written {
        let record = record(collection, value);
        Written::of(&self.call(CREATE, json!({"collection": collection, "record": record})).await)
    }

    /// Puts a record.
    pub async fn put(&self, collection: &str, rkey: &str, value: Value) -> Written {
        let record = record(collection, value);
        let input = json!({"collection": collection, "rkey": rkey, "record": record});
        Written::of(&self.call(PUT, input).await)
    }

    /// Deletes a record; the commit, if it made one.
    pub async fn delete(&self, collection: &str, rkey: &str) -> Option<(String, String)> {
        commit_of(&self.call(DELETE, json!({"collection": collection, "rkey": rkey})).await.ok())
    }

    /// `getRecord` in its own repo.
    pub async fn get(&self, collection: &str, rkey: &str) -> Answer {
        let params = [("repo", self.did.as_str()), ("collection", collection), ("rkey", rkey)];
        self.target.query("com.atproto.repo.getRecord", &params).await
    }

    /// Commit and revision.
    pub async fn head(&self) -> (String, String) {
        self.target.head(&self.did).await
    }

    /// `base64url(signature)` of any bytes.
    pub fn signature(&self, message: &[u8]) -> String {
        b64u(&self.key.sign(message).unwrap())
    }
}

/// A record with its `$type`.
pub fn record(collection: &str, mut value: Value) -> Value {
    value["$type"] = collection.into();
    value
}

/// The CID in a blob object.
#[track_caller]
pub fn cid_of(blob: &Value) -> String {
    text(&blob["ref"], "$link")
}

/// `com.atproto.repo.uploadBlob`
pub const UPLOAD: &str = "com.atproto.repo.uploadBlob";
/// `com.atproto.sync.getBlob`
pub const GET_BLOB: &str = "com.atproto.sync.getBlob";
/// `com.atproto.sync.listBlobs`
pub const LIST_BLOBS: &str = "com.atproto.sync.listBlobs";
/// `com.atproto.repo.listMissingBlobs`
pub const MISSING_BLOBS: &str = "com.atproto.repo.listMissingBlobs";
/// `com.atproto.repo.createRecord`
pub const CREATE: &str = "com.atproto.repo.createRecord";
/// `com.atproto.repo.putRecord`
pub const PUT: &str = "com.atproto.repo.putRecord";
/// `com.atproto.repo.deleteRecord`
pub const DELETE: &str = "com.atproto.repo.deleteRecord";
/// `com.atproto.repo.applyWrites`
pub const APPLY: &str = "com.atproto.repo.applyWrites";
