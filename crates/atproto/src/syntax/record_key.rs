//! Record keys: names of records within a collection (spec: record-key).

use super::Tid;
use super::newtype::checked_text;

/// The longest record key the protocol allows.
const MAX_BYTES: usize = 512;

checked_text! {
    /// A record key such as `3jui7kd54zh2y` or `self`, safe in a path of a repository and of a URL.
    RecordKey, "record key"
}

impl From<Tid> for RecordKey {
    fn from(tid: Tid) -> Self {
        Self(tid.to_string().into())
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if !(1..=MAX_BYTES).contains(&text.len()) {
        return Err("a record key has 1 to 512 characters");
    }
    if text == "." || text == ".." {
        return Err("`.` and `..` are not allowed as record keys");
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:~".contains(&byte)) {
        return Err("a record key may hold ASCII letters, digits and `. - _ : ~` only");
    }
    Ok(())
}
