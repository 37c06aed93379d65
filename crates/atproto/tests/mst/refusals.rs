//! Each way in which a node or a tree can be wrong.

use super::hostile::{Fault, accepted, use_all};
use super::nodes::{Entry, compressed, entry, node};
use super::reference::tree_of;
use super::{KEY_COUNT, KEYS, Model, model_of, value};
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{BlockMap, Link, Mst, MstError, NodeFault, diff, key_layer, range, walk};

/// The first keys of a layer, sorted.
fn keys_of<const N: usize>(layer: u8) -> [&'static str; N] {
    let mut keys: Vec<&str> = KEYS.iter().map(String::as_str).filter(|key| key_layer(key) == layer).collect();
    keys.truncate(N);
    keys.sort_unstable();
    keys.try_into().unwrap()
}

/// What a walk says of a tree with this top and these blocks below.
fn fault(top: &[u8], below: &[&[u8]]) -> Fault {
    let blocks: BlockMap =
        below.iter().chain([&top]).map(|block| (Cid::dag_cbor(block), block.to_vec().into())).collect();
    let root = Link::to_cid(Cid::dag_cbor(top));
    use_all(root, &blocks);
    accepted(root, &blocks).unwrap_err()
}

fn node_fault(top: &[u8], below: &[&[u8]]) -> NodeFault {
    match fault(top, below) {
        MstError::Node { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_prefix_that_is_not_as_long_as_possible_is_refused() {
    let [a, b] = keys_of(0);
    let shared = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    for (what, second) in [
        ("shorter", entry(shared - 1, &b[shared - 1..], None)),
        ("none", entry(0, b, None)),
        ("longer than the key before", entry(a.len() + 1, "x", None)),
    ] {
        let found = node_fault(&node(None, &[entry(0, a, None), second]), &[]);
        assert!(matches!(found, NodeFault::Prefix(1)), "{what}: {found}");
    }
    let found = node_fault(&node(None, &[entry(1, &a[1..], None)]), &[]);
    assert!(matches!(found, NodeFault::Prefix(0)), "{found}");
    let huge = Entry { shared: i64::MAX as u64, rest: b"x".to_vec(), subtree: None };
    assert!(matches!(node_fault(&node(None, &[entry(0, a, None), huge]), &[]), NodeFault::Prefix(1)));
}

#[test]
fn keys_of_a_node_that_do_not_ascend_are_refused() {
    let [a, b] = keys_of(0);
    for keys in [[b, a], [a, a]] {
        assert!(matches!(node_fault(&node(None, &compressed(&keys, || None)), &[]), NodeFault::Order(1)));
    }
}

#[test]
fn a_key_of_another_layer_is_refused() {
    let [low] = keys_of(0);
    let [high] = keys_of(1);
    let mut keys = [low, high];
    keys.sort_unstable();
    assert!(matches!(node_fault(&node(None, &compressed(&keys, || None)), &[]), NodeFault::Layer(1)));
    // A subtree belongs exactly one layer below.
    let [top] = keys_of(2);
    let leaf = node(None, &compressed(&[low], || None));
    let found = node_fault(&node(Some(Cid::dag_cbor(&leaf)), &compressed(&[top], || None)), &[&leaf]);
    assert!(matches!(found, NodeFault::Layer(0)), "{found}");
}

#[test]
fn a_node_that_holds_nothing_is_refused_but_as_the_empty_tree() {
    let [high] = keys_of(1);
    let hollow = node(None, &[]);
    let link = Some(Cid::dag_cbor(&hollow));
    for top in [node(link, &compressed(&[high], || None)), node(None, &compressed(&[high], || link))] {
        assert!(matches!(node_fault(&top, &[&hollow]), NodeFault::Empty));
    }
    let root = Link::to_cid(Cid::dag_cbor(&hollow));
    assert!(accepted(root, &[(root.cid, hollow.into())].into()).unwrap().is_empty());
}

#[test]
fn a_top_without_entries_is_refused() {
    let (root, blocks) = tree_of(&model_of(0..KEY_COUNT));
    let top = node(Some(root.cid), &[]);
    let below: Vec<&[u8]> = blocks.values().map(|block| block.as_ref()).collect();
    assert!(matches!(node_fault(&top, &below), NodeFault::Empty));
}

#[test]
fn a_subtree_below_layer_0_is_refused() {
    let [a] = keys_of(0);
    let leaf = node(None, &compressed(&[a], || None));
    let link = Some(Cid::dag_cbor(&leaf));
    for top in [node(link, &compressed(&[a], || None)), node(None, &compressed(&[a], || link))] {
        assert!(matches!(node_fault(&top, &[&leaf]), NodeFault::Depth));
    }
}

#[test]
fn a_key_that_is_no_record_path_is_refused() {
    let long = format!("com.example.note/{}", "x".repeat(1100));
    for key in ["", "nothing", "/x", "a/", "a/b/c", "a/ b", "a/\u{e4}", "a/%41", long.as_str()] {
        let found = node_fault(&node(None, &[entry(0, key, None)]), &[]);
        assert!(matches!(found, NodeFault::Key(0)), "{key}: {found}");
        assert!(matches!(Mst::empty(BlockMap::default()).insert(key, value(1)), Err(MstError::Key(_))));
    }
    let entry = Entry { shared: 0, rest: b"a/\xff".to_vec(), subtree: None };
    assert!(matches!(node_fault(&node(None, &[entry]), &[]), NodeFault::Key(0)));
}

#[test]
fn members_that_are_missing_or_too_many_are_refused() {
    let [a] = keys_of(0);
    let good = node(None, &compressed(&[a], || None));
    let find = |wanted: &[u8]| good.windows(wanted.len()).position(|at| at == wanted).unwrap();
    // Heads of maps are one byte: 0xa2 is a map of two. Text of one character is two bytes.
    let (end, prefix) = (find(b"\x61l\xf6"), find(b"\x61p\x00"));
    let patch = |outer: u8, inner: u8, cut: std::ops::Range<usize>, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[0] = outer;
        bytes[4] = inner;
        bytes.splice(cut, with.iter().copied());
        bytes
    };
    assert_eq!(patch(0xa2, 0xa4, 0..0, &[]), good);
    for (what, bytes) in [
        ("no left", patch(0xa1, 0xa4, end..good.len(), &[])),
        ("one more in the node", patch(0xa3, 0xa4, good.len()..good.len(), b"\x61z\xf6")),
        ("one more in the entry", patch(0xa2, 0xa5, end..end, b"\x61z\xf6")),
        ("no prefix", patch(0xa2, 0xa3, prefix..prefix + 3, &[])),
        ("another name", patch(0xa2, 0xa4, end..end + 2, b"\x61m")),
        ("something behind", patch(0xa2, 0xa4, good.len()..good.len(), &[0xf6])),
        ("a prefix with a longer head", patch(0xa2, 0xa4, prefix + 2..prefix + 3, &[0x18, 0x00])),
        ("a negative prefix", patch(0xa2, 0xa4, prefix + 2..prefix + 3, &[0x20])),
    ] {
        let found = node_fault(&bytes, &[]);
        assert!(matches!(found, NodeFault::Members | NodeFault::Cbor(_)), "{what}: {found}");
    }
}

#[test]
fn a_link_to_a_node_that_is_not_dag_cbor_is_refused() {
    let ([low], [high]) = (keys_of(0), keys_of(1));
    let leaf = node(None, &compressed(&[low], || None));
    let raw = Cid::raw(&leaf);
    let top = node(Some(raw), &compressed(&[high], || None));
    let root = Link::to_cid(Cid::dag_cbor(&top));
    let blocks: BlockMap = [(root.cid, top.into()), (raw, leaf.into())].into();
    for root in [root, Link::to_cid(raw)] {
        let found = accepted(root, &blocks).unwrap_err();
        assert!(matches!(found, MstError::Node { fault: NodeFault::Codec, .. }), "{found}");
    }
}

#[test]
fn keys_beyond_the_bounds_that_their_parents_set_are_refused() {
    let lows: [&str; 20] = keys_of(0);
    let highs: [&str; 14] = keys_of(1);
    let (low, high) = (lows[0], highs[13]);
    assert!(low < high);
    let leaf = node(None, &compressed(&[low], || None));
    let link = Cid::dag_cbor(&leaf);
    let top = node(None, &compressed(&[high], || Some(link)));
    assert!(matches!(fault(&top, &[&leaf]), MstError::Node { fault: NodeFault::Bounds, .. }));
    let root = Link::to_cid(Cid::dag_cbor(&top));
    let blocks: BlockMap = [(root.cid, top.into()), (link, leaf.into())].into();
    let found: Vec<_> = range(&blocks, root, Some(high), false).collect();
    assert!(matches!(found.as_slice(), [Ok(_), Err(MstError::Node { fault: NodeFault::Bounds, .. })]));
}

/// The first key of a layer in the collection `com.example.<letter>`.
fn key_in(letter: char, layer: u8) -> String {
    (0..).map(|n| format!("com.example.{letter}/{n}")).find(|key| key_layer(key) == layer).unwrap()
}

#[test]
fn a_lookup_or_an_edit_sees_that_keys_are_beyond_the_bounds_of_any_node_above() {
    // Letters are the order of keys: `m` is at the top, `wrong` is in a node of layer 0 that is reached with `probe`.
    for (what, middle, wrong, probe) in [
        ("before the key on the left", None, 'b', 'x'),
        ("behind the key on the right", None, 'x', 'b'),
        ("before a key on the left, further up", Some('x'), 'b', 'p'),
        ("behind a key on the right, further up", Some('c'), 'z', 'd'),
    ] {
        let mut blocks = BlockMap::default();
        let mut below = None;
        let [wrong, probe_key] = [wrong, probe].map(|letter| key_in(letter, 0));
        let over = middle.map(|letter| key_in(letter, 1));
        let top = key_in('m', over.as_ref().map_or(1, |_| 2));
        for key in [Some(&wrong), over.as_ref(), Some(&top)].into_iter().flatten() {
            // The subtree is on the side of the key where the probe belongs.
            let (left, right) = if probe_key < *key { (below, None) } else { (None, below) };
            let block = node(left, &compressed(&[key], || right));
            below = Some(Cid::dag_cbor(&block));
            blocks.insert(Cid::dag_cbor(&block), block.into());
        }
        let open = || Mst::open(&blocks, Link::to_cid(below.unwrap()));
        for found in [
            open().get(&probe_key).map(drop),
            open().path(&probe_key).map(drop),
            open().insert(&probe_key, value(2)),
            open().update(&probe_key, value(2)).map(drop),
            open().delete(&probe_key).map(drop),
        ] {
            assert!(
                matches!(found, Err(MstError::Node { fault: NodeFault::Bounds, .. })),
                "{what}: {found:?}"
            );
        }
    }
}

#[test]
fn a_subtree_that_is_linked_over_and_over_is_not_followed_without_end() {
    // Each layer links the one below from every gap: more paths than could ever be walked.
    let mut below: Option<Cid> = None;
    let mut blocks = BlockMap::default();
    for layer in 0..4 {
        let prefix = "com.example.much/";
        let keys: Vec<String> = (0..)
            .map(|n| format!("{prefix}{n:06}"))
            .filter(|key| key_layer(key) == layer)
            .take(200)
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let block = node(below, &compressed(&keys, || below));
        let cid = Cid::dag_cbor(&block);
        blocks.insert(cid, block.into());
        below = Some(cid);
    }
    let root = Link::to_cid(below.unwrap());
    // A walk that sees nothing wrong would not end by itself.
    let walked = walk(&blocks, root, |_| true).take(5000).last().unwrap();
    assert!(matches!(walked, Err(MstError::Node { fault: NodeFault::Bounds, .. })));
    let (empty, none) = tree_of(&Model::new());
    assert!(matches!(
        diff((&blocks, root), (&none, empty)),
        Err(MstError::Node { fault: NodeFault::Bounds, .. })
    ));
    let last = |from, reverse| range(&blocks, root, from, reverse).take(5000).last();
    for (from, reverse) in [(None, false), (None, true), (Some("a/a"), false), (Some("z/z"), true)] {
        let found = last(from, reverse).unwrap();
        assert!(matches!(found, Err(MstError::Node { fault: NodeFault::Bounds, .. })), "{from:?} {reverse}");
    }
    // Nothing is before all keys or behind them.
    assert!(last(Some("a/a"), true).is_none() && last(Some("z/z"), false).is_none());
}
