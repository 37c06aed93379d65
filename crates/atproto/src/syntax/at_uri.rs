//! AT-URIs (spec: at-uri-scheme, "Restricted AT URI Syntax").

use super::newtype::checked_text;
use super::{AtIdentifier, Nsid, RecordKey, SyntaxError};

/// The longest AT-URI the protocol allows.
const MAX_BYTES: usize = 8192;

checked_text! { @type
    /// The address of a repository, a collection or a record: `at://AUTHORITY[/COLLECTION[/RKEY]]`, without query or
    /// fragment. A handle in it is lowercased, all else is as written.
    AtUri
}

impl AtUri {
    /// Checks `text` against the syntax of AT-URIs as lexicons use them.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let error = |reason| SyntaxError::new("AT-URI", text, reason);
        if text.len() > MAX_BYTES {
            return Err(error("an AT-URI has at most 8192 characters"));
        }
        let path = text.strip_prefix("at://").ok_or_else(|| error("an AT-URI starts with at://"))?;
        let mut parts = path.split('/');
        let authority = AtIdentifier::parse(parts.next().unwrap_or_default())
            .map_err(|_| error("after at:// comes a DID or a handle"))?;
        let collection = parts.next();
        if collection.is_some_and(|collection| Nsid::parse(collection).is_err()) {
            return Err(error("the first part of the path must be an NSID, like com.example.note"));
        }
        let rkey = parts.next();
        if rkey.is_some_and(|rkey| RecordKey::parse(rkey).is_err()) {
            return Err(error("the second part of the path must be a record key, like 3jui7kd54zh2y"));
        }
        if parts.next().is_some() {
            return Err(error("the path has at most two parts: a collection and a record key"));
        }
        Ok(Self::join(&authority, collection, rkey))
    }

    /// The address of a record.
    #[must_use]
    pub fn of_record(authority: &AtIdentifier, collection: &Nsid, rkey: &RecordKey) -> Self {
        Self::join(authority, Some(collection.as_str()), Some(rkey.as_str()))
    }

    /// The DID or handle.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.part(0).unwrap_or_default()
    }

    /// The NSID of the collection.
    #[must_use]
    pub fn collection(&self) -> Option<&str> {
        self.part(1)
    }

    /// The record key.
    #[must_use]
    pub fn rkey(&self) -> Option<&str> {
        self.part(2)
    }

    fn part(&self, index: usize) -> Option<&str> {
        self.0.strip_prefix("at://")?.split('/').nth(index)
    }

    fn join(authority: &AtIdentifier, collection: Option<&str>, rkey: Option<&str>) -> Self {
        let mut text = format!("at://{authority}");
        for part in [collection, rkey].into_iter().flatten() {
            text.push('/');
            text.push_str(part);
        }
        Self(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_uri_knows_its_parts() {
        let uri = AtUri::parse("at://Alice.Test/com.example.fooBar/self").unwrap();
        assert_eq!(uri.as_str(), "at://alice.test/com.example.fooBar/self");
        assert_eq!(uri.authority(), "alice.test");
        assert_eq!((uri.collection(), uri.rkey()), (Some("com.example.fooBar"), Some("self")));
        let uri = AtUri::parse("at://did:plc:abc").unwrap();
        assert_eq!((uri.authority(), uri.collection(), uri.rkey()), ("did:plc:abc", None, None));
    }
}
