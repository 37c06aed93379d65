//! Where the terms of service come from: built in, or a file of the operator's that may change while the server runs.

use rookery_pds::ports::TermsSource;
use rookery_pds::terms::{BUILT_IN, Terms};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Terms are read by agents, and by the people behind them.
const MAX_BYTES: u64 = 256 * 1024;

/// The terms that come with the program.
struct BuiltIn(Arc<Terms>);

impl TermsSource for BuiltIn {
    fn current(&self) -> Result<Arc<Terms>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// A file, read anew when it is another than before.
struct TermsFile {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Arc<Terms>)>>,
}

/// By this a change is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    /// An editor that replaces the file makes another one.
    number: u64,
}

/// The file at `path`, or the built-in terms.
pub(crate) fn source(path: Option<&Path>) -> Arc<dyn TermsSource> {
    match path {
        Some(path) => Arc::new(TermsFile { path: path.to_owned(), last: Mutex::default() }),
        None => Arc::new(BuiltIn(Arc::new(Terms::new(BUILT_IN.to_owned())))),
    }
}

impl TermsSource for TermsFile {
    fn current(&self) -> Result<Arc<Terms>, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before it is read: a change in between is found the next time.
        let stamp =
            std::fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata)).map_err(|e| self.says(e))?;
        match &*last {
            Some((seen, terms)) if *seen == stamp => Ok(Arc::clone(terms)),
            _ => {
                let terms = Arc::new(Terms::new(self.read()?));
                *last = Some((stamp, Arc::clone(&terms)));
                Ok(terms)
            }
        }
    }
}

impl TermsFile {
    fn read(&self) -> Result<String, String> {
        let mut text = String::new();
        let file = File::open(&self.path).map_err(|e| self.says(e))?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|e| self.says(e))?;
        if text.trim().is_empty() {
            return Err(self.says("it is empty"));
        }
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(self.says(format!("it is longer than {MAX_BYTES} bytes")));
        }
        Ok(text)
    }

    fn says(&self, problem: impl std::fmt::Display) -> String {
        format!("cannot use the terms in {}: {problem}", self.path.display())
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let number = 0;
        Self { modified: metadata.modified().ok(), len: metadata.len(), number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn without_a_file_the_built_in_terms_hold() {
        assert_eq!(source(None).current().unwrap().text, BUILT_IN);
    }

    #[test]
    fn a_changed_file_counts_from_the_next_call_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        let terms = source(Some(&path));
        assert!(terms.current().is_err());
        std::fs::write(&path, "first").unwrap();
        let first = terms.current().unwrap();
        assert_eq!(first.text, "first");
        assert!(Arc::ptr_eq(&first, &terms.current().unwrap()));

        // Same length, another time.
        std::fs::write(&path, "other").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let other = terms.current().unwrap();
        assert_eq!(other.text, "other");
        assert_ne!(other.hash, first.hash);

        std::fs::remove_file(&path).unwrap();
        assert!(terms.current().unwrap_err().contains("terms.txt"));
    }

    #[test]
    fn what_is_no_text_of_terms_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        for bytes in [&b" \n"[..], b"\xff\xfe", &vec![b'a'; 256 * 1024 + 1]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(source(Some(&path)).current().is_err());
        }
    }
}
