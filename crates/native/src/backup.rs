//! `rookery backup`: a copy of a data directory, taken while a server uses it, on which a server can be started.
//!
//! The database is copied as it is at one moment. A blob's file never changes and its name is never used again, so files can be
//! copied before and after that moment: first those that there are, which takes long, then the few that came meanwhile.
//!
//! The copy is made under another name and gets its own when all of it is on disk: a backup is whole, or it is not there.

use crate::data_dir::sync_dir;
use crate::sqlite::{Snapshot, open_copy};
use anyhow::{Context, Result, bail, ensure};
use rookery_pds::store;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DATABASE: &str = "rookery.db";
const MASTER_KEY: &str = "master.key";
const OBJECTS: &str = "blobs/objects";
/// Between two lines of progress.
const PATIENCE: Duration = Duration::from_secs(2);

/// Copies the data directory `from` to `to`, which must not exist yet, or be empty.
pub(crate) fn run(from: &Path, to: &Path) -> Result<()> {
    let database = from.join(DATABASE);
    ensure!(database.exists(), "there is no database in {}; say where with --data-dir", from.display());
    require_room(to)?;
    let unfinished = unfinished(to)?;
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", unfinished.display()));
        }
        _ => {}
    }
    create_dir(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;

    let mut blobs = Blobs { from: from.join(OBJECTS), to: unfinished.join(OBJECTS), copied: 0, bytes: 0 };
    let mut progress = Progress(Instant::now());
    if blobs.from.exists() {
        // What is gone here is not in the copy of the database either.
        blobs.copy_all(&database, &mut progress)?;
    }
    let copy = unfinished.join(DATABASE);
    Snapshot::open(&database)?
        .write_to(&copy, |done, total| progress.say(|| format!("database: {} of {}", mib(done), mib(total))))
        .with_context(|| format!("cannot copy {}", database.display()))?;
    let gone = if blobs.from.exists() { blobs.copy_all(&copy, &mut progress)? } else { Vec::new() };
    if let Some(key) = gone.iter().find_map(|(key, referenced)| referenced.then_some(key)) {
        bail!(
            "the file of blob {key} is missing, although a record refers to it. If it was let go just now, run this again"
        );
    }
    let mut accounts = 0;
    progress.say(|| "checking the copy".to_owned());
    open_copy(&copy, |sql| {
        store::migrate(sql, store::Schema::Accounts)?;
        store::restored::mark(sql)?;
        gone.iter().try_for_each(|(key, _)| store::blob::forget_object(sql, key))?;
        accounts = store::account::count_active(sql)?;
        Ok(())
    })
    .with_context(|| format!("the copy {} cannot be used", copy.display()))?;
    let key = copy_key(from, &unfinished)?;
    sync_all(&unfinished).context("cannot write the backup to disk")?;
    fs::rename(&unfinished, to)
        .and_then(|()| {
            sync_dir(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        })
        .with_context(|| format!("cannot give the backup its name, {}", to.display()))?;

    let mut out = io::stdout();
    // Whoever asked may have stopped listening.
    let _ = writeln!(
        out,
        "{} has {accounts} active accounts and {} blobs ({}).\nTo use it: rookery serve --data-dir {}",
        to.display(),
        blobs.copied,
        mib(blobs.bytes),
        to.display()
    );
    let _ = match (key, blobs.from.exists()) {
        (true, _) => {
            writeln!(out, "It holds the master key: whoever can read it can sign for every account.")
        }
        (false, _) => writeln!(out, "It needs the same ROOKERY_MASTER_KEY."),
    };
    if !blobs.from.exists() {
        let _ = writeln!(out, "Blobs are not in it: they are in a bucket, which needs a backup of its own.");
    }
    Ok(())
}

/// Blob files, copied as the rows of a database name them.
struct Blobs {
    from: PathBuf,
    to: PathBuf,
    copied: u64,
    bytes: u64,
}

impl Blobs {
    /// Copies every blob of a database that is not here yet. Those whose files are gone, and whether records refer to them.
    fn copy_all(&mut self, database: &Path, progress: &mut Progress) -> Result<Vec<(String, bool)>> {
        let mut keys = Vec::new();
        let listed = Snapshot::open(database)?.read(|sql| {
            store::blob::keys(sql, &mut |key, referenced| {
                keys.push((key.to_owned(), referenced));
                Ok(())
            })
        });
        listed.context("cannot list the blobs")?;
        let total = keys.len();
        let mut gone = Vec::new();
        for (key, referenced) in keys {
            if !self.copy(&key).with_context(|| format!("cannot copy the blob {key}"))? {
                gone.push((key, referenced));
            }
            progress.say(|| format!("blobs: {} of {total}", self.copied));
        }
        Ok(gone)
    }

    /// Copies one, unless it is here. False when its file is gone.
    fn copy(&mut self, key: &str) -> io::Result<bool> {
        let (from, to) = (self.from.join(key), self.to.join(key));
        if to.exists() {
            return Ok(true);
        }
        let mut source = match File::open(&from) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        if let Some(folder) = to.parent() {
            create_dir(folder)?;
        }
        let mut file = File::create_new(&to)?;
        self.bytes += io::copy(&mut source, &mut file)?;
        self.copied += 1;
        file.sync_all()?;
        Ok(true)
    }
}

/// Refuses a place that is taken.
fn require_room(to: &Path) -> Result<()> {
    match fs::read_dir(to) {
        Ok(mut entries) => {
            ensure!(
                entries.next().is_none(),
                "{} is not empty; choose a directory that is new",
                to.display()
            );
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot use {}", to.display())),
    }
}

/// The name of the backup while it is being made.
fn unfinished(to: &Path) -> Result<PathBuf> {
    let Some(name) = to.file_name() else { bail!("{} has no name of its own", to.display()) };
    let mut name = name.to_owned();
    name.push(".unfinished");
    Ok(to.with_file_name(name))
}

/// Copies the master key, if it is in the data directory.
fn copy_key(from: &Path, to: &Path) -> Result<bool> {
    let (from, to) = (from.join(MASTER_KEY), to.join(MASTER_KEY));
    // The copy has the mode of the original: its owner's alone.
    match fs::copy(&from, &to) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot copy {}", from.display())),
    }
}

/// Creates a directory and those above it, their owner's alone.
fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Syncs the files at the top of the backup and every directory in it; blobs are synced already.
fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { sync_dirs(&path)? } else { File::open(&path)?.sync_all()? }
    }
    sync_dir(dir)
}

fn sync_dirs(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    sync_dir(dir)
}

/// Says now and then how far it is, on stderr.
struct Progress(Instant);

impl Progress {
    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.0.elapsed() >= PATIENCE {
            self.0 = Instant::now();
            let _ = writeln!(io::stderr(), "{}", what());
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
