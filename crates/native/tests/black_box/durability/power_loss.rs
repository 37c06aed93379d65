//! The power goes: whatever was not synced may be lost or torn. A layer between the server and its files ([`Layer`]) notes what
//! the server does, and [`disk`](super::disk) makes of it what a disk may have left.

use super::check::{World, files};
use super::disk::Disk;
use super::log::{Failed, calls};
use super::{Run, spare};
use crate::firehose::random::Random;
use crate::server::{Server, block_on, serve};
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A server's disk, and the layer in front of it.
pub(crate) struct Layer {
    /// The directory that is on the disk.
    root: TempDir,
    /// Where the log is.
    beside: TempDir,
    library: &'static Path,
    disk: Disk,
}

impl Layer {
    /// In front of an empty disk. `None`, and a message, where there is no C compiler.
    pub(crate) fn new(disk: Disk) -> Option<Self> {
        let (root, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Some(Self { root, beside, library: library()?, disk })
    }

    /// The server's data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("data")
    }

    /// What servers behind the layer have said on stderr, when they were told to say it there.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.beside.path().join("stderr")).unwrap_or_default()
    }

    /// The server behind the layer, which makes a call fail.
    pub(crate) fn serve_with_fault(&self, fault: &str) -> Command {
        let mut command = self.serve();
        let stderr = fs::OpenOptions::new().create(true).append(true).open(self.beside.path().join("stderr"));
        command.env("FILE_LAYER_FAULT", fault).stderr(stderr.unwrap());
        command
    }

    /// The server behind the layer.
    pub(crate) fn serve(&self) -> Command {
        let mut command = serve(&self.data());
        command
            .env("LD_PRELOAD", self.library)
            .env("FILE_LAYER_ROOT", self.root.path().canonicalize().unwrap())
            .env("FILE_LAYER_LOG", self.log());
        command
    }

    /// Learns what a server that has ended did.
    pub(crate) fn learn(&mut self, random: &mut Random) {
        self.disk.take(&self.log(), random);
        self.disk.look(self.root.path());
    }

    /// How many calls the servers have made since then, and the one that was made to fail.
    pub(crate) fn calls(&self) -> (u64, Option<Failed>) {
        calls(&self.log())
    }

    /// Cuts the power of a server that has ended, and turns it on again.
    pub(crate) fn cut(&mut self, random: &mut Random) {
        self.disk.take(&self.log(), random);
        self.disk.cut(random);
        self.disk.write(self.root.path());
    }

    /// Another disk with the same on it, which must be settled.
    pub(crate) fn copy(&self) -> Self {
        let (root, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        self.disk.write(root.path());
        Self { root, beside, library: self.library, disk: self.disk.clone() }
    }

    /// Takes what is there for what is on the disk.
    pub(crate) fn adopt(&mut self) {
        fs::write(self.log(), []).unwrap();
        self.disk = Disk::of(self.root.path());
    }

    fn log(&self) -> PathBuf {
        self.beside.path().join("log")
    }
}

/// The layer, compiled once.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/black_box/durability/file_layer.c");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (library, draft) = (dir.join("file_layer.so"), dir.join(format!("file_layer.{}", process::id())));
        let mut compiler = Command::new("cc");
        compiler
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .arg(&draft)
            .arg(source);
        let Ok(output) = compiler.args(["-ldl", "-lpthread"]).output() else {
            println!("SKIPPED: there is no C compiler (cc) for the layer in front of the files");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Other runs of the tests may be using it.
        fs::rename(draft, &library).unwrap();
        Some(library)
    });
    library.as_deref()
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_everything_that_was_not_synced() {
    let mut run = Run::from_env("ROOKERY_POWER", 15);
    while let Some(rounds) = run.next_directory() {
        let Some(layer) = Layer::new(Disk::new()) else { return };
        Rounds::begin(&mut run, layer).run(rounds);
    }
}

/// The test of the test: it must find out a disk that does not sync when it is told to, whatever file it is.
#[test]
fn a_disk_that_does_not_sync_loses_what_was_acknowledged_and_is_found_out() {
    let lies: [fn(&str) -> bool; 4] = [
        |path| path.ends_with("/rookery.db-wal"),
        |path| path.ends_with("/rookery.db"),
        |path| path.contains("/blobs/arriving/"),
        |path| path.contains("/blobs/objects"),
    ];
    for (n, lie) in lies.into_iter().enumerate() {
        let mut run = Run::from_env("ROOKERY_POWER", 20);
        let Some(layer) = Layer::new(Disk::new()) else { return };
        let mut rounds = Rounds::begin(&mut run, layer);
        rounds.layer.disk.lie_about(lie);
        let found = catch_unwind(AssertUnwindSafe(|| rounds.run(20)));
        assert!(found.is_err(), "the lie {n} was not found out");
    }
}

/// Rounds on one disk.
struct Rounds<'a> {
    run: &'a mut Run,
    layer: Layer,
    world: World,
}

impl<'a> Rounds<'a> {
    /// Some agents enroll at a new server, and the power goes.
    fn begin(run: &'a mut Run, mut layer: Layer) -> Self {
        while run.random.below(2) == 0 {
            // A server that does not get far.
            spare(layer.serve(), &mut run.random);
            layer.cut(&mut run.random);
        }
        let server = Server::run(layer.serve());
        let world = block_on(World::begin(&server.target, 6));
        server.kill();
        layer.cut(&mut run.random);
        Self { run, layer, world }
    }

    fn run(mut self, rounds: usize) {
        let Self { run, layer, world } = &mut self;
        for _ in 0..rounds {
            let server = Server::run(layer.serve());
            block_on(world.check(&server.target, false));
            let time = run.load_time();
            block_on(world.load(server, &mut run.random, time));
            if run.random.below(3) == 0 {
                // Only the process ends, and the next one tells what it finds before anything is written.
                layer.learn(&mut run.random);
                let server = Server::run(layer.serve());
                block_on(world.listen(server, &mut run.random));
            }
            layer.cut(&mut run.random);
            files(&layer.data());
            if run.random.below(6) == 0 {
                spare(layer.serve(), &mut run.random);
                layer.cut(&mut run.random);
                files(&layer.data());
            }
            run.progress(world);
        }
        let server = Server::run(layer.serve());
        block_on(world.check(&server.target, true));
        // What was checked is more than an audit would.
        server.kill();
        run.acknowledged += world.acknowledged;
        let size = world.size();
        assert!(size.uploads > 0 && size.records > rounds, "{size}: that shows nothing");
    }
}

/// The layer knows every change that a server makes: what it noted is what is there.
#[test]
fn the_layer_in_front_of_the_files_sees_every_change() {
    let Some(mut layer) = Layer::new(Disk::new()) else { return };
    let mut random = Random(1);
    let server = Server::run(layer.serve());
    block_on(async {
        let mut world = World::begin(&server.target, 3).await;
        world.steps(&mut random, 20).await;
        world.clear(&server.target).await;
    });
    server.terminate();
    assert!(server.wait().0.success());
    assert!(layer.calls().0 > 200, "too few calls to show anything");
    layer.disk.take(&layer.log(), &mut random);
    let found = contents(layer.root.path());
    layer.disk.settle();
    layer.disk.write(layer.root.path());
    let noted = contents(layer.root.path());
    assert_eq!(found.keys().collect::<Vec<_>>(), noted.keys().collect::<Vec<_>>());
    for (path, bytes) in found {
        assert!(noted[&path] == bytes, "{} is not what was noted", path.display());
    }
}

/// All files, and what is in them.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}
