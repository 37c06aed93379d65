//! The test of the model.

use super::*;

/// A disk with a file in a directory, of which nothing is kept.
fn with_a_file() -> (Disk, usize, usize) {
    let mut disk = Disk::new();
    let dir = disk.add(Node::dir());
    disk.enter("/dir", dir);
    let file = disk.add(Node::file());
    disk.enter("/dir/file", file);
    disk.change(file, Change::Write { at: 0, bytes: vec![1; 2000] });
    (disk, dir, file)
}

fn content(disk: &Disk) -> Option<Vec<u8>> {
    match &disk.nodes[disk.find("/dir/file")?] {
        Node::File { kept, .. } => Some(kept.clone()),
        Node::Dir { .. } => panic!("it is a directory"),
    }
}

#[test]
fn what_was_not_synced_may_be_there_in_any_part_or_not_at_all() {
    let mut left = BTreeSet::new();
    for seed in 0..200 {
        let (mut disk, dir, _) = with_a_file();
        disk.keep(0);
        disk.keep(dir);
        disk.cut(&mut Random(seed << 32));
        left.insert(content(&disk).expect("the name was synced"));
    }
    assert!(left.contains(&vec![1; 2000]) && left.contains(&Vec::new()), "all, and nothing");
    assert!(left.iter().any(|some| some.len() > SECTOR && some[..SECTOR] == [0; SECTOR]), "a part");
    assert!(
        left.iter().all(|some| some.chunks(SECTOR).all(|sector| sector.windows(2).all(|w| w[0] == w[1])))
    );
}

#[test]
fn a_name_is_kept_by_the_directory_and_those_above_it() {
    for (synced, stays) in [([true, true], true), ([true, false], false), ([false, true], false)] {
        let mut lost = false;
        for seed in 0..50 {
            let (mut disk, dir, file) = with_a_file();
            disk.keep(file);
            let [above, below] = synced;
            above.then(|| disk.keep(0));
            below.then(|| disk.keep(dir));
            disk.cut(&mut Random(seed << 32));
            lost |= content(&disk) != Some(vec![1; 2000]);
        }
        assert_eq!(lost, !stays, "{synced:?}");
    }
}

#[test]
fn what_a_failed_sync_forgot_is_kept_by_no_later_one_unless_it_is_written_again() {
    let mut lost = 0;
    for seed in 0..50 {
        let mut random = Random(seed << 32);
        let (mut disk, dir, file) = with_a_file();
        disk.keep(0);
        disk.keep(dir);
        disk.forget(file, &mut random);
        disk.keep(file);
        lost += usize::from(content(&disk) != Some(vec![1; 2000]));
        disk.change(file, Change::Write { at: 0, bytes: vec![1; 2000] });
        disk.keep(file);
        disk.cut(&mut random);
        assert_eq!(content(&disk), Some(vec![1; 2000]));
    }
    assert!(lost > 5, "{lost}");
}
