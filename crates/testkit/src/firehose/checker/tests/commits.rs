//! What a `#commit` must be.

use super::*;
use rookery_atproto::mst::{MstError, key_layer};

/// What the checker says of the sample's last commit after a change to it.
fn altered(change: impl FnOnce(&mut Told, &mut BlockMap)) -> Fault {
    let (mut checker, _, mut event) = sample();
    let Body::Commit(told) = &mut event.body else { panic!("a commit") };
    let mut blocks = car::read_all(&told.blocks).unwrap().blocks;
    change(told, &mut blocks);
    told.blocks = car(told.commit, blocks);
    checker.take(&event, NOW).unwrap_err()
}

/// The same for a change to the commit itself, which is signed anew by `key`.
fn signed(key: &SecretKey, did: &Did, change: impl FnOnce(&mut Tid, &mut Cid)) -> Fault {
    altered(|told, blocks| {
        let commit = Commit::decode(&blocks.remove(&told.commit).unwrap()).unwrap();
        let (mut rev, mut data) = (commit.rev, commit.data);
        change(&mut rev, &mut data);
        let block = Commit::sign(did.clone(), rev, data, key).encode();
        told.commit = Cid::dag_cbor(&block);
        told.rev = rev;
        blocks.insert(told.commit, block);
    })
}

#[test]
fn the_car_has_the_commit_as_its_one_root_and_each_block_once() {
    let (checker, _, event) = sample();
    let Body::Commit(told) = &event.body else { panic!("a commit") };
    let blocks = car::read_all(&told.blocks).unwrap().blocks;
    let with = |bytes: Vec<u8>| {
        let told = Told { blocks: bytes.into(), ..told.clone() };
        checker.clone().take(&Event { body: Body::Commit(told), ..event.clone() }, NOW).unwrap_err()
    };
    let sections = |roots: &[Cid]| {
        let mut out = car::header(roots);
        blocks.iter().for_each(|(cid, block)| car::section(cid, block, &mut out));
        out
    };
    assert_fault!(with(sections(&[])), Fault::Verify(VerifyError::Roots(0)));
    assert_fault!(with(sections(&[told.commit, told.commit])), Fault::Verify(VerifyError::Roots(2)));
    let (other, _) = blocks.iter().find(|(cid, _)| **cid != told.commit).unwrap();
    assert_fault!(with(sections(&[*other])), Fault::Root { .. });
    let mut twice = sections(&[told.commit]);
    car::section(other, &blocks[other], &mut twice);
    assert_fault!(with(twice), Fault::Twice(_));
    let mut wrong = sections(&[told.commit]);
    car::section(other, b"something else", &mut wrong);
    assert_fault!(with(wrong), Fault::Car(CarError::Hash { .. }));
    assert_fault!(with(told.blocks[..told.blocks.len() - 1].to_vec()), Fault::Car(CarError::Truncated(_)));
}

#[test]
fn commits_of_others_and_by_other_keys_are_refused() {
    let other = SecretKey::from_bytes(Curve::K256, &[6; 32]).unwrap();
    assert_fault!(signed(&other, &did(), |_, _| {}), Fault::Verify(VerifyError::Commit(_)));
    let stranger = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    assert_fault!(signed(&key(), &stranger, |_, _| {}), Fault::Verify(VerifyError::Did { .. }));
    let fault = altered(|told, blocks| {
        let block = cbor::encode(&Value::from(1));
        told.commit = Cid::dag_cbor(&block);
        blocks.insert(told.commit, block.into());
    });
    assert_fault!(fault, Fault::Verify(VerifyError::Commit(_)));
}

#[test]
fn a_commit_that_names_the_one_before_is_refused() {
    let fault = altered(|told, blocks| {
        let mut value = cbor::decode(&blocks.remove(&told.commit).unwrap()).unwrap();
        let commit = value.as_map_mut().unwrap();
        commit.insert("prev", Cid::dag_cbor(b"before"));
        commit.remove("sig");
        let sig = key().sign(&cbor::encode(&Value::Map(commit.clone())));
        commit.insert("sig", Value::Bytes(sig.to_vec()));
        let block = cbor::encode(&value);
        told.commit = Cid::dag_cbor(&block);
        blocks.insert(told.commit, block.into());
    });
    assert_fault!(fault, Fault::Prev(_));
}

#[test]
fn revisions_are_the_commits_and_go_up_but_not_into_the_future() {
    assert_fault!(altered(|told, _| told.rev = Tid::new(NOW, 9)), Fault::Rev { .. });
    let (_, host, _) = sample();
    let before = Tid::new(host.head.rev.micros() - 1, 1);
    for rev in [before, Tid::new(before.micros() - 1, 1)] {
        assert_fault!(signed(&key(), &did(), |other, _| *other = rev), Fault::NotAbove { .. });
    }
    let limit = Tid::new(NOW + DRIFT, 1);
    assert_fault!(signed(&key(), &did(), |rev, _| *rev = Tid::new(NOW + DRIFT + 1, 1)), Fault::Future(_));
    let (mut checker, mut host, _) = sample();
    host.head.rev = Tid::new(limit.micros() - 1, 1);
    let event = host.write(&[put(1, 1)]);
    // The revision itself is let through; since is what does not fit.
    assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Since { .. });
}

#[test]
fn since_and_prev_data_are_the_state_before() {
    assert_fault!(altered(|told, _| told.since = None), Fault::Order { .. } | Fault::Since { .. });
    assert_fault!(altered(|told, _| told.since = Some(Tid::new(1, 1))), Fault::Since { found: Some(_), .. });
    assert_fault!(altered(|told, _| told.prev_data = None), Fault::Verify(VerifyError::PrevData { .. }));
    let fault = altered(|told, _| told.prev_data = Some(told.ops[0].cid.unwrap()));
    assert_fault!(fault, Fault::Verify(VerifyError::PrevData { .. }));
    // A commit in between is missing: each of the others holds by itself.
    let (mut checker, mut host, _) = sample();
    let event = host.write(&[put(33, 1)]);
    assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Since { .. });
    let (mut checker, mut host, lost) = sample();
    let mut event = host.write(&[put(33, 1)]);
    let (Body::Commit(told), Body::Commit(lost)) = (&mut event.body, &lost.body) else { panic!("commits") };
    told.since = lost.since;
    assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::PrevData { .. });
}

#[test]
fn operations_say_what_happened() {
    let op = |told: &mut Told, n: i64| told.ops.iter().position(|op| op.path == path(n)).unwrap();
    // Of the sample: 31 is created, 40 updated, 60 and 62 deleted.
    for (n, action) in [(31, "update"), (31, "delete"), (40, "create"), (40, "put"), (60, "update"), (60, "")]
    {
        let fault = altered(|told, _| {
            let at = op(told, n);
            told.ops[at].action = action.to_owned();
        });
        assert_fault!(fault, Fault::Action { .. });
    }
    let prev = |n, prev| {
        altered(move |told, _| {
            let at = op(told, n);
            told.ops[at].prev = prev;
        })
    };
    assert_fault!(prev(31, Some(record(1).0)), Fault::Action { .. });
    assert_fault!(prev(40, None), Fault::Action { .. });
    assert_fault!(prev(60, None), Fault::Action { .. });
    assert_fault!(prev(40, Some(record(81).0)), Fault::Unchanged(_));
    assert_fault!(prev(40, Some(record(1).0)), Fault::Verify(VerifyError::PrevData { .. }));
    assert_fault!(prev(60, Some(record(1).0)), Fault::Verify(VerifyError::PrevData { .. }));

    assert_fault!(altered(|told, _| drop(told.ops.remove(0))), Fault::Verify(_));
    let twice = altered(|told, _| told.ops.push(told.ops[0].clone()));
    assert_fault!(twice, Fault::Verify(VerifyError::Repeated(_)));
    let elsewhere = altered(|told, _| told.ops[0].path = "nothing".into());
    assert_fault!(elsewhere, Fault::Verify(VerifyError::Path(_)));
}

#[test]
fn every_block_that_is_needed_is_there_and_no_other() {
    let (_, _, event) = sample();
    let Body::Commit(told) = &event.body else { panic!("a commit") };
    for cid in car::read_all(&told.blocks).unwrap().blocks.keys() {
        let fault = altered(|_, blocks| drop(blocks.remove(cid)));
        assert_fault!(fault, Fault::Verify(_) | Fault::Tree(_));
    }
    assert_fault!(altered(|_, blocks| blocks.extend([record(1)])), Fault::Unneeded(_));
    // A node of the tree that has nothing to do with what happened.
    let (_, host, _) = sample();
    let mut refused = 0;
    for (cid, block) in host.nodes() {
        if !car::read_all(&told.blocks).unwrap().blocks.contains_key(&cid) {
            assert_fault!(altered(|_, blocks| drop(blocks.insert(cid, block))), Fault::Unneeded(_));
            refused += 1;
        }
    }
    assert!(refused > 0, "the event has the whole tree");
}

#[test]
fn a_new_node_that_no_inversion_needs_must_be_there_too() {
    let (mut checker, mut host, event) = sample();
    take_all(&mut checker, &[event]);
    // To undo an update, what is below its node is not needed.
    let high = (0..60).find(|n| key_layer(&path(n * 2)) > 0).unwrap() * 2;
    let mut event = host.write(&[put(high, 82)]);
    let Body::Commit(told) = &mut event.body else { panic!("a commit") };
    let mut blocks = car::read_all(&told.blocks).unwrap().blocks;
    let way = Mst::open(&host.blocks, host.head.root).path(&path(high)).unwrap();
    let (all, needed) = (blocks.len(), [told.commit, record(82).0]);
    blocks.retain(|cid, _| needed.contains(cid) || way.iter().any(|(node, _)| node == cid));
    assert!(blocks.len() < all, "nothing is below");
    told.blocks = car(told.commit, blocks);
    checker.clone().take(&event, NOW).unwrap();
    // To a checker that has forgotten all nodes, those below are new.
    let account = checker.accounts.get_mut(&did()).unwrap();
    account.repo.as_mut().unwrap().contents.as_mut().unwrap().nodes.clear();
    let Fault::Tree(MstError::Missing(missing)) = checker.take(&event, NOW).unwrap_err() else {
        panic!("a node is missing")
    };
    assert!(host.nodes().contains_key(&missing), "it is one of the new tree");
}

#[test]
fn the_nodes_that_are_known_are_those_of_the_tree_after_any_writes() {
    let (mut host, events) = Host::signup();
    let mut checker = checker(Begin::Genesis);
    take_all(&mut checker, &events);
    let mut random: u64 = 1;
    let mut below = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let mut there = BTreeMap::new();
    for n in 0..400 {
        let mut writes = BTreeMap::new();
        // Few keys and many, so that trees of several layers come and go.
        let keys = [4, 40, 400][n / 20 % 3];
        for _ in 0..=below(3) * below(20) {
            let key = i64::try_from(below(keys)).unwrap();
            let version = i64::try_from(below(5)).unwrap();
            let put = below(keys.isqrt() * 3) > keys.isqrt();
            match there.get(&key) {
                Some(_) if !put => drop(writes.insert(key, None)),
                Some(same) if *same == version => {}
                None if !put => {}
                _ => drop(writes.insert(key, Some(version))),
            }
        }
        for (key, version) in &writes {
            match version {
                Some(version) => there.insert(*key, *version),
                None => there.remove(key),
            };
        }
        let writes: Vec<_> = writes
            .into_iter()
            .map(|(key, version)| version.map_or_else(|| delete(key), |version| put(key, version)))
            .collect();
        if writes.is_empty() {
            continue;
        }
        take_all(&mut checker, &[host.write(&writes)]);
        let mirror = checker.repo(&did()).unwrap();
        assert_eq!(mirror.contents.as_ref().unwrap().nodes, host.nodes());
        assert!(mirror.export().unwrap().is_ok());
    }
}

#[test]
fn operations_fit_what_the_events_before_have_made() {
    let (mut checker, _, event) = sample();
    let account = checker.accounts.get_mut(&did()).unwrap();
    let contents = account.repo.as_mut().unwrap().contents.as_mut().unwrap();
    contents.records.insert(path(40), record(7));
    assert_fault!(checker.clone().take(&event, NOW).unwrap_err(), Fault::Replaced { .. });
    let account = checker.accounts.get_mut(&did()).unwrap();
    let contents = account.repo.as_mut().unwrap().contents.as_mut().unwrap();
    contents.records.insert(path(40), record(20));
    contents.records.insert(path(2), record(7));
    // The operations do not touch this one. In the end it shows all the same.
    checker.take(&event, NOW).unwrap();
    let export = checker.repo(&did()).unwrap().export().unwrap();
    assert_fault!(export.unwrap_err(), Fault::Contents { .. });
}

#[test]
fn records_are_sound_and_of_their_collection() {
    let refused = |path: String, block: Vec<u8>| {
        let (mut host, events) = Host::signup();
        let mut checker = checker(Begin::Genesis);
        take_all(&mut checker, &events);
        let event = host.write(&[(path, Some((Cid::dag_cbor(&block), block.into())))]);
        assert_fault!(checker.take(&event, NOW).unwrap_err(), Fault::Record { .. });
    };
    refused(path(1), record_of("com.example.other", 1).1.to_vec());
    refused(path(1), cbor::encode(&Value::from(1)));
    refused(path(1), vec![0xff]);
    let mut large = Map::new();
    large.insert("$type", NOTE);
    large.insert("text", "x".repeat(1_000_000).as_str());
    refused(path(1), cbor::encode(&large.into()));
}
