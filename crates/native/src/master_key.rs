//! The master key, under which every private key in the database is sealed.
//!
//! It comes from `ROOKERY_MASTER_KEY`, or is made once and kept in a file of its own beside the database. It is never
//! replaced: without the key that sealed them, the signing keys of all accounts are lost.

use crate::data_dir::sync_dir;
use anyhow::{Context, Result, bail, ensure};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

const LEN: usize = 32;
/// More than any way to write a key.
const MAX_FILE: u64 = 256;

/// 32 bytes, wiped when dropped.
pub(crate) type MasterKey = Zeroizing<[u8; LEN]>;

/// Takes the key from `given` (the environment), else from `master.key` in `dir`, else makes one there.
/// `database_exists` tells whether there is something sealed already.
pub(crate) fn load(given: Option<Zeroizing<String>>, dir: &Path, database_exists: bool) -> Result<MasterKey> {
    if let Some(text) = given {
        return parse(&text).context("ROOKERY_MASTER_KEY is not a master key");
    }
    let path = dir.join("master.key");
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            ensure!(
                !database_exists,
                "{} is missing, but there is a database that was sealed under it. Put the file back from your backup, \
                 or set ROOKERY_MASTER_KEY; a new key could not open the accounts' signing keys",
                path.display()
            );
            create(&path, dir).with_context(|| format!("cannot create {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot open {}", path.display())),
    }
}

fn read(file: File, path: &Path) -> Result<MasterKey> {
    refuse_readable_by_others(&file, path)?;
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MAX_FILE).unwrap_or(0)));
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} holds no master key", path.display()))
}

#[cfg(unix)]
fn refuse_readable_by_others(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{path} can be read by others (mode {mode:o}); run: chmod 600 {path}",
        path = path.display()
    );
    Ok(())
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// On disk, with its directory entry, before anything is sealed under it. The file appears whole: a crash before leaves
/// a draft, which the next start writes anew. The data directory is locked, so nobody else makes one meanwhile.
fn create(path: &Path, dir: &Path) -> Result<MasterKey> {
    let mut key = MasterKey::default();
    getrandom::fill(key.as_mut_slice()).context("no randomness available")?;
    let draft = dir.join("master.key.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let text = Zeroizing::new(HEXLOWER.encode(key.as_slice()));
    writeln!(file, "{}", text.as_str())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_dir(dir)?;
    Ok(key)
}

/// 64 hexadecimal digits or 43 characters of base64url.
fn parse(text: &str) -> Result<MasterKey> {
    let text = text.trim();
    let bytes = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        43 | 44 => BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok(),
        _ => None,
    };
    let Some(bytes) = bytes.map(Zeroizing::new) else {
        bail!(
            "expected 32 bytes as 64 hexadecimal digits or as base64url; make one with: openssl rand -hex 32"
        )
    };
    let mut key = MasterKey::default();
    ensure!(bytes.len() == LEN, "expected 32 bytes, found {}", bytes.len());
    key.copy_from_slice(&bytes);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        // Left by a crash.
        fs::write(dir.path().join("master.key.new"), "ab").unwrap();
        let made = load(None, dir.path(), false).unwrap();
        assert_ne!(*made, [0; LEN]);
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
        assert_eq!(load(None, dir.path(), true).unwrap(), made);
        assert_eq!(load(None, dir.path(), false).unwrap(), made);
    }

    #[test]
    fn a_given_key_is_read_in_both_forms_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = [0xfb; LEN];
        let hex = HEXLOWER.encode(&bytes);
        let base64 = BASE64URL_NOPAD.encode(&bytes);
        for text in [hex.clone(), hex.to_uppercase(), base64.clone(), format!("{base64}=\n")] {
            assert_eq!(*load(given(&text), dir.path(), true).unwrap(), bytes, "{text}");
        }
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "secret", &"z".repeat(64), &"a".repeat(63), &"+".repeat(43)] {
            let refusal = format!("{:#}", load(given(text), dir.path(), false).unwrap_err());
            assert!(text.is_empty() || !refusal.contains(text), "{refusal}");
        }
    }

    #[test]
    fn a_database_without_its_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = load(None, dir.path(), true).unwrap_err().to_string();
        assert!(refusal.contains("backup"), "{refusal}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        load(None, dir.path(), false).unwrap();
        let path = dir.path().join("master.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let refusal = load(None, dir.path(), true).unwrap_err().to_string();
        assert!(refusal.contains("chmod 600"), "{refusal}");
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        load(None, dir.path(), false).unwrap();
        let path = dir.path().join("master.key");
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(load(None, dir.path(), false).is_err());
        assert_eq!(path.metadata().unwrap().len(), 10);
    }
}
