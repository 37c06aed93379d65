//! The process is killed, over and over, on one data directory. What it had handed to the operating system is kept.

use super::check::{World, files};
use super::{Run, spare};
use crate::blobs::{database, objects, until};
use crate::server::{Server, block_on, serve};

#[test]
fn what_was_acknowledged_survives_kill_in_the_middle_of_the_load() {
    let mut run = Run::from_env("ROOKERY_CRASH", 25);
    while let Some(rounds) = run.next_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(dir.path());
        let mut world = block_on(World::begin(&server.target, 6));
        for round in 0..rounds {
            let time = run.load_time();
            block_on(world.load(server, &mut run.random, time));
            files(dir.path());
            if run.random.below(6) == 0 {
                spare(serve(dir.path()), &mut run.random);
                files(dir.path());
            }
            server = Server::start(dir.path());
            block_on(world.check(&server.target, round + 1 == rounds));
            run.progress(&world);
        }
        run.acknowledged += world.acknowledged;
        let size = world.size();
        assert!(size.agents > 6 && size.uploads > 0 && size.records > rounds, "{size}: that shows nothing");
        block_on(world.clear(&server.target));
        server.kill();
        nothing_is_left(dir.path());
    }
}

/// When all records are gone and the grace is over, so is every object and every row of a blob.
fn nothing_is_left(dir: &std::path::Path) {
    let mut command = serve(dir);
    command.env("ROOKERY_BLOB_GRACE", "1s");
    let _server = Server::run(command);
    let tables = ["blob", "blob_ref", "blob_garbage"].map(|table| format!("(SELECT count(*) FROM {table})"));
    let sum = format!("SELECT {}", tables.join(" + "));
    let rows = || database(dir).query_row(&sum, [], |row| row.get::<_, i64>(0)).unwrap();
    block_on(until("all is collected", || rows() == 0));
    assert!(objects(dir).is_empty(), "{:?} belong to nobody", objects(dir));
}
