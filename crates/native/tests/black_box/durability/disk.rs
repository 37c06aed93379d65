//! What a disk may have lost when the power goes.
//!
//! The model knows two states of everything: what is *kept* whatever happens, and what is *pending*, which a program sees and a
//! disk may never have heard of. `fsync` of a file keeps its bytes and its length; `fsync` of a directory keeps the names in
//! it. Nothing else keeps anything: a file that was synced is gone with its name. When the power goes,
//!
//! - of each pending change of a file, all, nothing, or any of its sectors of 512 bytes is there, whatever became of the
//!   changes before it; bytes that were not overwritten do not change;
//! - of the pending names of a directory, the first so many are there, in the order in which they were made, as on file
//!   systems with a journal, but each directory by itself. A name that was moved to another directory is not lost on both sides.
//!
//! A failed `fsync` keeps some of what was pending, and *forgets the rest for good*: a later `fsync` that succeeds says
//! nothing about it, although every program still reads it. That is what Linux does.
//!
//! SQLite's index of its log (`-shm`) lives in memory and is never there after a cut.

#[cfg(test)]
mod tests;

use super::log::{Record, records};
use crate::firehose::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const SECTOR: usize = 512;

/// A directory and everything in it.
#[derive(Clone)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    /// What descriptors are open on, in the process whose log is read, and whether their `fsync` does what it says.
    open: BTreeMap<i32, (usize, bool)>,
    /// Of which files and directories it does not.
    lies_about: fn(&str) -> bool,
    /// The number of the next entry.
    next: u64,
}

#[derive(Clone)]
enum Node {
    File { kept: Vec<u8>, pending: Vec<Change> },
    Dir { kept: Names, pending: Vec<Entry>, now: Names },
}

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A change of the names in a directory.
#[derive(Clone)]
struct Entry {
    number: u64,
    gone: Option<(String, usize)>,
    new: Option<(String, usize)>,
    /// The entry of another directory without which this one cannot be.
    after: Option<u64>,
}

impl Disk {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::dir()], open: BTreeMap::new(), lies_about: |_| false, next: 0 }
    }

    /// What is in a directory, and all of it kept.
    pub(crate) fn of(root: &Path) -> Self {
        let mut disk = Self::new();
        disk.read(0, root);
        disk
    }

    fn read(&mut self, dir: usize, path: &Path) {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let node = if path.is_dir() {
                let node = self.add(Node::dir());
                self.read(node, &path);
                node
            } else {
                self.add(Node::File { kept: fs::read(&path).unwrap(), pending: Vec::new() })
            };
            let Node::Dir { kept, now, .. } = &mut self.nodes[dir] else { panic!("it is a file") };
            kept.insert(name.clone(), node);
            now.insert(name, node);
        }
    }

    /// From now on it says of some files that they were kept, and they were not.
    pub(crate) fn lie_about(&mut self, lies_about: fn(&str) -> bool) {
        self.lies_about = lies_about;
    }

    /// Takes what a process did until its end, whatever that was; then the log is empty.
    pub(crate) fn take(&mut self, log: &Path, random: &mut Random) {
        self.open.clear();
        for record in records(&fs::read(log).unwrap_or_default()) {
            self.apply(&record, random);
        }
        fs::write(log, []).unwrap();
    }

    fn apply(&mut self, record: &Record<'_>, random: &mut Random) {
        let &Record { op, fd, offset, payload, .. } = record;
        let text = || std::str::from_utf8(payload).unwrap();
        match op {
            b'O' => {
                let node = self.find(text()).unwrap_or_else(|| {
                    let file = self.add(Node::file());
                    self.enter(text(), file)
                });
                if offset == 1 {
                    self.change(node, Change::Length(0));
                }
                self.open.insert(fd, (node, !(self.lies_about)(text())));
            }
            b'W' => self.change(self.open[&fd].0, Change::Write { at: offset, bytes: payload.to_vec() }),
            b'T' => self.change(self.open[&fd].0, Change::Length(offset)),
            b'S' => {
                let (node, honest) = self.open[&fd];
                if honest {
                    self.keep(node);
                }
            }
            b'E' => self.forget(self.open[&fd].0, random),
            b'M' => {
                let dir = self.add(Node::dir());
                self.enter(text(), dir);
            }
            b'U' => {
                let node = self.find(text()).expect("what is removed was there");
                self.names(text(), |name| (Some((name, node)), None, None));
            }
            b'R' => {
                let (from, to) = text().split_once('\0').unwrap();
                self.rename(from, to);
            }
            b'F' => {}
            other => panic!("the log has an unknown record {other}"),
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &str) -> Option<usize> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(0, |at, name| match &self.nodes[at] {
            Node::Dir { now, .. } => now.get(name).copied(),
            Node::File { .. } => None,
        })
    }

    fn enter(&mut self, path: &str, node: usize) -> usize {
        self.names(path, |name| (None, Some((name, node)), None));
        node
    }

    fn rename(&mut self, from: &str, to: &str) {
        let node = self.find(from).expect("what is moved was there");
        let ((above, old), (_, new)) = (from.rsplit_once('/').unwrap(), to.rsplit_once('/').unwrap());
        let (old, new) = ((old.to_owned(), node), (new.to_owned(), node));
        if to.rsplit_once('/').unwrap().0 == above {
            self.names(to, |_| (Some(old), Some(new), None));
        } else {
            let number = self.names(to, |_| (None, Some(new), None));
            self.names(from, |_| (Some(old), None, Some(number)));
        }
    }

    /// Changes the names in the directory that a path is in.
    fn names(
        &mut self,
        path: &str,
        change: impl FnOnce(String) -> (Option<(String, usize)>, Option<(String, usize)>, Option<u64>),
    ) -> u64 {
        let (dir, name) = path.rsplit_once('/').unwrap();
        let dir = self.find(dir).expect("the directory is there");
        let (gone, new, after) = change(name.to_owned());
        self.next += 1;
        let entry = Entry { number: self.next, gone, new, after };
        let Node::Dir { pending, now, .. } = &mut self.nodes[dir] else { panic!("{path} is below a file") };
        entry.apply(now);
        pending.push(entry);
        self.next
    }

    fn change(&mut self, node: usize, change: Change) {
        let Node::File { pending, .. } = &mut self.nodes[node] else { panic!("a directory is written to") };
        pending.push(change);
    }

    fn keep(&mut self, node: usize) {
        let elsewhere = self.pending_elsewhere(node);
        match &mut self.nodes[node] {
            Node::File { kept, pending } => pending.drain(..).for_each(|change| change.apply(kept)),
            Node::Dir { kept, pending, .. } => pending.retain(|entry| {
                let waits = entry.after.is_some_and(|number| elsewhere.contains(&number));
                if !waits {
                    entry.apply(kept);
                }
                waits
            }),
        }
    }

    /// Numbers of entries that are pending in other directories.
    fn pending_elsewhere(&self, node: usize) -> BTreeSet<u64> {
        let others = self.nodes.iter().enumerate().filter(|(n, _)| *n != node);
        others
            .flat_map(|(_, node)| match node {
                Node::Dir { pending, .. } => &pending[..],
                Node::File { .. } => &[],
            })
            .map(|entry| entry.number)
            .collect()
    }

    /// After a failed `fsync` nobody tries again what did not get there.
    fn forget(&mut self, node: usize, random: &mut Random) {
        if let Node::File { kept, pending } = &mut self.nodes[node] {
            pending.drain(..).for_each(|change| change.apply_some(kept, random));
        }
    }

    /// Looks at what is there after a process was killed: what it was just doing may be done, and not in the log.
    pub(crate) fn look(&mut self, root: &Path) {
        self.look_into("", root);
    }

    fn look_into(&mut self, name: &str, root: &Path) {
        let there: BTreeSet<_> = fs::read_dir(root.join(name.trim_start_matches('/')))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let Some(Node::Dir { now, .. }) = self.find(name).map(|dir| &self.nodes[dir]) else {
            panic!("{name} is a file")
        };
        for (gone, node) in now.clone().into_iter().filter(|(gone, _)| !there.contains(gone)) {
            self.names(&format!("{name}/{gone}"), |name| (Some((name, node)), None, None));
        }
        for path in there.into_iter().map(|entry| format!("{name}/{entry}")) {
            let real = root.join(path.trim_start_matches('/'));
            let node = self.find(&path).unwrap_or_else(|| {
                let new = if real.is_dir() { Node::dir() } else { Node::file() };
                let new = self.add(new);
                self.enter(&path, new)
            });
            if real.is_dir() {
                self.look_into(&path, root);
            } else if !path.ends_with("-shm") {
                self.look_at(node, fs::read(real).unwrap());
            }
        }
    }

    fn look_at(&mut self, node: usize, bytes: Vec<u8>) {
        let Node::File { kept, pending } = &mut self.nodes[node] else { panic!("a directory is a file") };
        let mut now = kept.clone();
        pending.iter().for_each(|change| change.apply(&mut now));
        if now != bytes {
            pending.extend([Change::Length(bytes.len()), Change::Write { at: 0, bytes }]);
        }
    }

    /// The power goes.
    pub(crate) fn cut(&mut self, random: &mut Random) {
        let mut lost = BTreeSet::new();
        for node in &mut self.nodes {
            match node {
                Node::File { kept, pending } => {
                    let all = match random.below(4) {
                        0 => Some(true),
                        1 => Some(false),
                        _ => None,
                    };
                    for change in pending.drain(..) {
                        match all {
                            Some(true) => change.apply(kept),
                            Some(false) => {}
                            None => change.apply_some(kept, random),
                        }
                    }
                }
                Node::Dir { pending, .. } => {
                    let some = random.below(u64::try_from(pending.len()).unwrap() + 1);
                    let rest = pending.split_off(usize::try_from(some).unwrap());
                    lost.extend(rest.iter().map(|entry| entry.number));
                }
            }
        }
        while self.lose_what_needs(&mut lost) {}
        for node in &mut self.nodes {
            if let Node::Dir { kept, pending, now } = node {
                pending.drain(..).for_each(|entry| entry.apply(kept));
                now.clone_from(kept);
            }
        }
    }

    /// Loses what cannot be without what was lost. Whether there was anything.
    fn lose_what_needs(&mut self, lost: &mut BTreeSet<u64>) -> bool {
        let before = lost.len();
        for node in &mut self.nodes {
            if let Node::Dir { pending, .. } = node {
                let needs = |entry: &Entry| entry.after.is_some_and(|number| lost.contains(&number));
                if let Some(at) = pending.iter().position(needs) {
                    lost.extend(pending.drain(at..).map(|entry| entry.number));
                }
            }
        }
        lost.len() > before
    }

    /// Makes a directory what is kept.
    pub(crate) fn write(&self, root: &Path) {
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        self.write_dir(0, root);
    }

    fn write_dir(&self, dir: usize, path: &Path) {
        let Node::Dir { kept: names, .. } = &self.nodes[dir] else { panic!("{} is a file", path.display()) };
        for (name, &node) in names.iter().filter(|(name, _)| !name.ends_with("-shm")) {
            let path = path.join(name);
            match &self.nodes[node] {
                Node::Dir { .. } => {
                    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
                    self.write_dir(node, &path);
                }
                Node::File { kept, .. } => {
                    let mut options = fs::OpenOptions::new();
                    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
                    file.write_all(kept).unwrap();
                }
            }
        }
    }

    /// The same, with everything that a program has seen.
    pub(crate) fn settle(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::File { kept, pending } => pending.drain(..).for_each(|change| change.apply(kept)),
                Node::Dir { kept, pending, now } => {
                    pending.clear();
                    kept.clone_from(now);
                }
            }
        }
    }
}

impl Node {
    /// An empty file.
    fn file() -> Self {
        Self::File { kept: Vec::new(), pending: Vec::new() }
    }

    /// An empty directory.
    fn dir() -> Self {
        Self::Dir { kept: Names::new(), pending: Vec::new(), now: Names::new() }
    }
}

impl Entry {
    fn apply(&self, names: &mut Names) {
        if let Some((name, node)) = &self.gone
            && names.get(name) == Some(node)
        {
            names.remove(name);
        }
        if let Some((name, node)) = &self.new {
            names.insert(name.clone(), *node);
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Write { at, bytes } => put(file, *at, bytes),
        }
    }

    /// All of it, nothing, or some sectors.
    fn apply_some(&self, file: &mut Vec<u8>, random: &mut Random) {
        match (random.below(4), self) {
            (0, _) => {}
            (1, Self::Write { at, bytes }) => {
                let mut from = 0;
                while from < bytes.len() {
                    let sector = (SECTOR - (*at + from) % SECTOR).min(bytes.len() - from);
                    if random.below(2) == 0 {
                        put(file, *at + from, &bytes[from..from + sector]);
                    }
                    from += sector;
                }
            }
            (_, whole) => whole.apply(file),
        }
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
