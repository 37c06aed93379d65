//! Where blobs are kept.

use super::{Given, is_base, is_loopback};
use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;

const DEFAULT_REGION: &str = "us-east-1";

/// Where blobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobStore {
    /// In the data directory.
    Files,
    /// In a bucket.
    S3(S3Bucket),
}

/// A bucket. Its secret is in the environment only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Bucket {
    pub(crate) bucket: String,
    /// Before every key; empty, or ends with a slash.
    pub(crate) prefix: String,
    pub(crate) endpoint: Url,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    /// The bucket is in the path of a URL, not in its host name.
    pub(crate) path_style: bool,
}

impl BlobStore {
    pub(super) fn new(given: &Given) -> Result<Self> {
        match given.blob_store.as_deref().map(str::trim) {
            None | Some("files") => Ok(Self::Files),
            Some(text) => Ok(Self::S3(S3Bucket::new(text, given)?)),
        }
    }
}

impl S3Bucket {
    fn new(text: &str, given: &Given) -> Result<Self> {
        let Some(place) = text.strip_prefix("s3://") else {
            bail!(
                "the blob store {text} is not known: expected files, or a bucket such as s3://my-bucket/prefix"
            );
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let is_name = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        let prefix = prefix.trim_end_matches('/');
        ensure!(
            is_name(bucket) && (prefix.is_empty() || prefix.split('/').all(is_name)),
            "the blob store {text} cannot be used: expected a bucket such as s3://my-bucket/prefix, of letters, digits, \
             -, _ and ."
        );
        let region = given.s3_region.as_deref().unwrap_or(DEFAULT_REGION).trim();
        let endpoint = match given.s3_endpoint.as_deref() {
            Some(endpoint) => endpoint.trim().to_owned(),
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        let form = || {
            format!(
                "the S3 endpoint {endpoint} cannot be used: expected a URL such as https://s3.example.com"
            )
        };
        let url = Url::parse(&endpoint).with_context(form)?;
        ensure!(is_base(&url), form());
        let Some(access_key_id) = given.s3_access_key_id.as_deref() else {
            bail!("the blob store {text} needs ROOKERY_S3_ACCESS_KEY_ID and ROOKERY_S3_SECRET_ACCESS_KEY");
        };
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            endpoint: url,
            region: region.to_owned(),
            access_key_id: access_key_id.trim().to_owned(),
            path_style: given.s3_endpoint.is_some(),
        })
    }

    /// True when blobs and signatures travel in the clear to another machine.
    pub(crate) fn is_open_to_others(&self) -> bool {
        self.endpoint.scheme() == "http" && !is_loopback(&self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &str, change: impl FnOnce(&mut Given)) -> Result<BlobStore> {
        let mut given = Given {
            blob_store: Some(text.to_owned()),
            s3_access_key_id: Some("key".to_owned()),
            ..Given::default()
        };
        change(&mut given);
        BlobStore::new(&given)
    }

    fn bucket(text: &str, change: impl FnOnce(&mut Given)) -> S3Bucket {
        match store(text, change).unwrap() {
            BlobStore::S3(bucket) => bucket,
            BlobStore::Files => panic!("files"),
        }
    }

    #[test]
    fn files_are_the_default() {
        assert_eq!(BlobStore::new(&Given::default()).unwrap(), BlobStore::Files);
    }

    #[test]
    fn a_bucket_is_amazons_unless_an_endpoint_is_given() {
        let amazon = bucket("s3://blobs", |given| given.s3_region = Some("eu-west-1".to_owned()));
        assert_eq!(amazon.endpoint.as_str(), "https://s3.eu-west-1.amazonaws.com/");
        assert!(!amazon.path_style && amazon.prefix.is_empty() && !amazon.is_open_to_others());
        let own = bucket("s3://blobs/of/rookery/", |given| {
            given.s3_endpoint = Some("http://192.0.2.1:9000".to_owned());
        });
        assert_eq!((own.bucket.as_str(), own.prefix.as_str()), ("blobs", "of/rookery/"));
        assert!(own.path_style && own.is_open_to_others());
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        for bad in ["s3://", "s3:///x", "s3://a b", "s3://a/../b", "s3://a//b", "gs://a", "/var/blobs"] {
            assert!(store(bad, |_| {}).is_err(), "{bad}");
        }
        assert!(store("s3://a", |given| given.s3_access_key_id = None).is_err());
        for bad in
            ["example.com", "ftp://example.com", "https://user:secret@example.com", "https://example.com?x"]
        {
            assert!(store("s3://a", |given| given.s3_endpoint = Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
