//! Private files: only the owner may read them, and a crash leaves either the old or the new content.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Larger files are not ours.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Keeps the temporary files of two threads apart.
static REPLACED: AtomicU64 = AtomicU64::new(0);

/// Makes `path` and what is missing above it; new directories are readable by the owner alone.
pub(crate) fn create_private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|cause| Error::io(format!("cannot make the directory {}", path.display()), cause))
}

/// Writes a new file; one that exists already is an error, so that a key is never overwritten.
pub(crate) fn create_private(path: &Path, content: &[u8]) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let mut file = private_options().create_new(true).open(path).map_err(|cause| Error::io(what(), cause))?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(cause) = written {
        let _ = fs::remove_file(path);
        return Err(Error::io(what(), cause));
    }
    sync_parent(path)
}

/// Replaces a file in one step: a temporary file beside it, synced, then renamed over it.
pub(crate) fn replace_private(path: &Path, content: &[u8]) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let mut temporary = path.as_os_str().to_owned();
    let turn = REPLACED.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".{}-{turn}.tmp", std::process::id()));
    let temporary = Path::new(&temporary);
    // One left by a process that had this id before and died.
    let _ = fs::remove_file(temporary);
    create_private(temporary, content)?;
    if let Err(cause) = fs::rename(temporary, path) {
        let _ = fs::remove_file(temporary);
        return Err(Error::io(what(), cause));
    }
    sync_parent(path)
}

/// Reads a small text file; `None` when there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>> {
    let what = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::io(what(), cause)),
    };
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|cause| Error::io(what(), cause))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::profile(path, "the file is too large to be one of ours"));
    }
    Ok(Some(text))
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A rename or a new name is durable once its directory is synced.
fn sync_parent(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(|cause| Error::io(format!("cannot sync {}", parent.display()), cause))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_private_file_is_0600_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/key.pem");
        create_private_dir(path.parent().unwrap()).unwrap();
        create_private(&path, b"one").unwrap();
        assert!(create_private(&path, b"two").is_err());
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("one"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn replacing_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        replace_private(&path, b"1").unwrap();
        replace_private(&path, b"2").unwrap();
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("2"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(read_text(&dir.path().join("none")).unwrap(), None);
    }
}
