//! Trees that nobody should have made: refused, without panic and in bounded work.

use super::*;

/// An entry as a hostile node has it.
#[derive(Clone)]
struct Raw {
    shared: i64,
    rest: Vec<u8>,
    value: Cid,
    subtree: Option<Cid>,
}

fn entry(shared: i64, rest: &str, subtree: Option<Cid>) -> Raw {
    Raw { shared, rest: rest.into(), value: cid(1), subtree }
}

fn link(cid: Option<Cid>) -> Value {
    cid.map_or(Value::Null, Value::Link)
}

/// Puts a node into `blocks`, whatever is wrong with it.
fn node(blocks: &mut BlockMap, left: Option<Cid>, entries: &[Raw]) -> Cid {
    let entries = entries.iter().map(|raw| {
        map([
            ("p", Value::Int(raw.shared)),
            ("k", Value::Bytes(raw.rest.clone())),
            ("v", Value::Link(raw.value)),
            ("t", link(raw.subtree)),
        ])
    });
    put(blocks, cbor::encode(&map([("e", Value::List(entries.collect())), ("l", link(left))])))
}

fn put(blocks: &mut BlockMap, block: Vec<u8>) -> Cid {
    let cid = Cid::dag_cbor(&block);
    blocks.insert(cid, block.into());
    cid
}

/// The `n`th key of a layer in order of name.
fn key(layer: u8, n: usize) -> &'static str {
    static SORTED: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut keys = KEYS.clone();
        keys.sort();
        keys
    });
    SORTED.iter().filter(|key| slow_layer(key) == layer).nth(n).unwrap()
}

/// What every way of reading says of a tree.
fn fault(blocks: &BlockMap, root: Cid) -> NodeFault {
    let of = |error| match error {
        MstError::Node { fault, .. } => fault,
        other => panic!("{other}"),
    };
    let walked =
        walk(blocks, by_cid(root), |_| true).find_map(Result::err).map(of).expect("a walk refuses it");
    for reverse in [false, true] {
        let ranged = range(blocks, by_cid(root), None, reverse).find_map(Result::err).map(of);
        assert_eq!(ranged.expect("a range refuses it").to_string(), walked.to_string());
    }
    let compared = diff((blocks, by_cid(root)), (blocks, by_cid(slow_build(&Model::new()).0))).unwrap_err();
    assert!(matches!(compared, MstError::Node { .. } | MstError::Missing(_)), "{compared}");
    walked
}

#[test]
fn keys_that_are_not_written_as_they_must_be_are_refused() {
    let (a, b) = (key(0, 0), key(0, 1));
    let shared = encoding::common_prefix(a, b);
    let cut = |n: usize| entry(n.try_into().unwrap(), b.split_at(n).1, None);
    let first = entry(0, a, None);
    let cases: [(&str, Vec<Raw>); 9] = [
        ("a prefix that is too short", vec![first.clone(), cut(shared - 1)]),
        ("a prefix that is not there", vec![entry(3, a, None)]),
        ("a prefix longer than the key", vec![first.clone(), entry(999, "x", None)]),
        ("a negative prefix", vec![entry(-1, a, None)]),
        (
            "keys out of order",
            vec![entry(0, b, None), entry(shared.try_into().unwrap(), a.split_at(shared).1, None)],
        ),
        ("the same key twice", vec![first.clone(), entry(a.len().try_into().unwrap(), "", None)]),
        ("no path", vec![entry(0, "nopath", None)]),
        ("a key that is not text", vec![Raw { rest: vec![0xff, b'/', 0xfe], ..first.clone() }]),
        ("a key that is too long", vec![entry(0, &format!("a/{}", "x".repeat(MAX_KEY_LEN)), None)]),
    ];
    for (what, entries) in cases {
        let mut blocks = slow_build(&Model::new()).1;
        let root = node(&mut blocks, None, &entries);
        let fault = fault(&blocks, root);
        assert!(
            matches!(
                fault,
                NodeFault::Prefix(_) | NodeFault::Order(_) | NodeFault::Key(_) | NodeFault::Cbor(_)
            ),
            "{what}: {fault}"
        );
    }
}

#[test]
fn keys_on_another_layer_or_outside_their_parents_are_refused() {
    let mut blocks = slow_build(&Model::new()).1;
    let mixed = node(&mut blocks, None, &[entry(0, key(1, 0), None), entry(0, "z/0", None)]);
    assert!(matches!(fault(&blocks, mixed), NodeFault::Layer(1)));

    let top = key(2, 4);
    let skipped = (0..9).map(|n| key(0, n)).find(|low| *low < top).unwrap();
    let leaf = node(&mut blocks, None, &[entry(0, skipped, None)]);
    let skip = node(&mut blocks, Some(leaf), &[entry(0, top, None)]);
    assert!(matches!(fault(&blocks, skip), NodeFault::Layer(0)), "a layer is left out");
    let above = node(&mut blocks, Some(leaf), &[]);
    let right = node(&mut blocks, Some(above), &[entry(0, top, None)]);
    assert!(walk(&blocks, by_cid(right), |_| true).all(|step| step.is_ok()), "as it must be");
    let wrong_side = node(&mut blocks, None, &[entry(0, top, Some(above))]);
    assert!(matches!(fault(&blocks, wrong_side), NodeFault::Bounds), "on the wrong side, two layers down");
    let twice = node(&mut blocks, Some(above), &[entry(0, top, Some(above))]);
    assert!(matches!(fault(&blocks, twice), NodeFault::Bounds), "on both sides");
    let later = (0..9).map(|n| key(0, n)).find(|low| *low > top).unwrap();
    let leaf = node(&mut blocks, None, &[entry(0, later, None)]);
    let above_later = node(&mut blocks, Some(leaf), &[]);
    let too_late = node(&mut blocks, Some(above_later), &[entry(0, top, None)]);
    assert!(matches!(fault(&blocks, too_late), NodeFault::Bounds), "after the key that it stands before");
    // Who looks for one key sees it too.
    assert!(matches!(
        Mst::open(&blocks, by_cid(too_late)).get(skipped),
        Err(MstError::Node { fault: NodeFault::Bounds, .. })
    ));
    for key in [skipped, key(0, 8)] {
        let mut tree = Mst::open(&blocks, by_cid(twice));
        let found = tree.get(key);
        assert!(
            matches!(found, Ok(Some(_)) | Err(MstError::Node { fault: NodeFault::Bounds, .. })),
            "{found:?}"
        );
    }
}

#[test]
fn nodes_that_lead_nowhere_or_too_deep_are_refused() {
    let mut blocks = slow_build(&Model::new()).1;
    let empty = slow_build(&Model::new()).0;
    let mut chain = empty;
    for _ in 0..140 {
        chain = node(&mut blocks, Some(chain), &[]);
        assert!(matches!(fault(&blocks, chain), NodeFault::Empty), "a top without keys");
        let below = node(&mut blocks, Some(chain), &[entry(0, key(5, 0), None)]);
        assert!(matches!(fault(&blocks, below), NodeFault::Empty | NodeFault::Depth));
    }
    let deep = node(&mut blocks, Some(empty), &[entry(0, key(0, 0), None)]);
    assert!(matches!(fault(&blocks, deep), NodeFault::Depth));
    let many: Vec<Raw> = vec![entry(0, key(0, 0), None); MAX_NODE_KEYS + 1];
    let many = node(&mut blocks, None, &many);
    assert!(matches!(fault(&blocks, many), NodeFault::TooManyKeys));
    let raw = node(&mut blocks, Some(Cid::raw(b"x")), &[entry(0, key(1, 0), None)]);
    assert!(matches!(fault(&blocks, raw), NodeFault::Codec));
}

#[test]
fn blocks_that_are_not_exactly_a_node_are_refused() {
    let (_, honest) = slow_build(&Model::from([(key(0, 0).to_owned(), cid(1))]));
    let block = honest.values().next().unwrap().to_vec();
    let with = |extra: &[u8]| [&block[..], extra].concat();
    let empty = || Value::List(Vec::new());
    let cases = [
        with(&[0]),
        block[..block.len() - 1].to_vec(),
        Vec::new(),
        cbor::encode(&Value::Null),
        cbor::encode(&map([("e", empty())])),
        cbor::encode(&map([("l", Value::Null)])),
        cbor::encode(&map([("e", empty()), ("l", Value::Null), ("m", Value::Null)])),
        cbor::encode(&map([("e", Value::List(vec![Value::Null])), ("l", Value::Null)])),
        cbor::encode(&map([("e", Value::List(vec![map([("k", Value::Null)])])), ("l", Value::Null)])),
    ];
    for case in cases {
        let mut blocks = slow_build(&Model::new()).1;
        let root = put(&mut blocks, case);
        assert!(matches!(fault(&blocks, root), NodeFault::Cbor(_) | NodeFault::Members));
    }
}

#[test]
fn a_store_that_knows_another_number_of_places_is_refused() {
    let kept = Kept::of(KEYS.iter().map(|key| (key.clone(), cid(1))).collect());
    for children in [vec![Place(1)], vec![Place(1); 99]] {
        kept.store.nodes.borrow_mut().get_mut(&kept.root.place).unwrap().1.children = children;
        let got = Mst::open(&kept.store, kept.root).get(&KEYS[0]);
        assert!(matches!(got, Err(MstError::Node { fault: NodeFault::Places, .. })));
    }
}

/// Does everything that can be done with a tree of strangers.
fn try_everything(blocks: &BlockMap, root: Cid, keys: &[String]) {
    let steps = walk(blocks, by_cid(root), |_| true).count();
    assert!(steps <= 2 * blocks.len() * (MAX_NODE_KEYS + 1), "{steps} steps");
    for reverse in [false, true] {
        let _ = range(blocks, by_cid(root), keys.first().map(String::as_str), reverse).count();
    }
    let _ = diff((blocks, by_cid(root)), (blocks, by_cid(root)));
    let mut tree = Mst::open(blocks, by_cid(root));
    let _ = tree.proof(keys.iter().map(String::as_str));
    for key in keys {
        let _ = tree.path(key);
    }
    for (n, key) in keys.iter().enumerate() {
        let _ = match n % 3 {
            0 => tree.insert(key, cid(7)).err(),
            1 => tree.delete(key).err(),
            _ => tree.update(key, cid(7)).err(),
        };
    }
    let _ = tree.finish(Place(1)).map(|_| tree.proof(keys.iter().map(String::as_str)).map(drop));
}

proptest! {
    #[test]
    fn a_tree_with_altered_bytes_never_panics(
        model in any_model(),
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        keys in prop::collection::vec(any_key(), 6),
    ) {
        let (root, mut blocks) = slow_build(&model);
        let mut cids: Vec<Cid> = blocks.keys().copied().collect();
        cids.sort();
        let chosen = cids[pick.index(cids.len())];
        let mut block = blocks[&chosen].to_vec();
        let at = at.index(block.len());
        block[at] = byte;
        // Under its old CID: what reads trees does not hash, that is done where blocks come in.
        blocks.insert(chosen, block.into());
        try_everything(&blocks, root, &keys);
    }

    #[test]
    fn trees_put_together_from_any_nodes_never_panic(
        shapes in prop::collection::vec(
            (prop::collection::btree_set(any_key(), 0..4), any::<[u8; 5]>()),
            1..12,
        ),
        keys in prop::collection::vec(any_key(), 6),
    ) {
        let mut blocks = BlockMap::default();
        let mut made: Vec<Cid> = Vec::new();
        for (entries, picks) in shapes {
            let pick = |n: usize| made.get(usize::from(picks[n]) % (made.len() + 2)).copied();
            let mut before = String::new();
            let mut raws = Vec::new();
            for (n, key) in entries.into_iter().enumerate() {
                let shared = encoding::common_prefix(&before, &key);
                raws.push(entry(shared.try_into().unwrap(), key.split_at(shared).1, pick(n + 1)));
                before = key;
            }
            let left = pick(0);
            made.push(node(&mut blocks, left, &raws));
        }
        for root in &made {
            try_everything(&blocks, *root, &keys);
        }
    }

    #[test]
    fn arbitrary_bytes_as_a_node_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut blocks = BlockMap::default();
        let root = put(&mut blocks, bytes);
        try_everything(&blocks, root, &KEYS[..3]);
    }
}
