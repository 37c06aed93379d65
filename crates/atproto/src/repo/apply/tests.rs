use super::*;
use crate::car;
use crate::crypto::Curve;
use crate::repo::{invert, verify_repo};
use proptest::prelude::*;

fn key() -> SecretKey {
    SecretKey::from_bytes(Curve::K256, &[9; 32]).unwrap()
}

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn rev(n: u64) -> Tid {
    Tid::new(1_700_000_000_000_000 + n, 1)
}

/// A repo in memory: every block ever written, and the head.
struct Repo {
    blocks: BlockMap,
    head: Head,
}

impl Repo {
    fn new() -> Self {
        let applied = create(&did(), rev(0), &key()).unwrap();
        let mut repo = Self { blocks: BlockMap::default(), head: applied.head };
        repo.keep(&applied);
        repo
    }

    fn keep<S>(&mut self, applied: &Applied<S>) {
        self.blocks.insert(applied.head.commit, applied.commit_block.clone());
        for node in &applied.change.written {
            self.blocks.insert(node.link.cid, node.block.clone());
        }
        self.head = applied.head;
    }

    fn write(&mut self, n: u64, writes: &[Write]) -> Result<Option<Vec<RepoOp>>, ApplyError<Infallible>> {
        let source = self.blocks.clone();
        let Some(mut applied) = apply(source, &self.head, writes, &did(), rev(n), &key())? else {
            return Ok(None);
        };
        let diff = car::read_all(&applied.diff(std::iter::empty()).unwrap()).unwrap();
        assert_eq!(diff.roots, [applied.head.commit]);
        assert!(applied.change.new_blocks.iter().all(|cid| diff.blocks.contains_key(cid)));
        let before = invert(&applied.ops, applied.head.root.cid, &diff.blocks).unwrap();
        assert_eq!(before, applied.prev_data.unwrap());
        self.keep(&applied);
        Ok(Some(applied.ops))
    }
}

fn record(n: u8) -> (Cid, Bytes) {
    let block = crate::data::cbor::encode(&crate::data::Value::Int(n.into()));
    (Cid::dag_cbor(&block), block.into())
}

fn write(rkey: &str, action: Action) -> Write {
    Write { path: format!("com.example.note/{rkey}"), action, swap: None }
}

#[test]
fn writes_to_one_path_in_a_batch_become_one_op() {
    let mut repo = Repo::new();
    let (a, b) = (record(1).0, record(2).0);
    let ops =
        repo.write(1, &[write("x", Action::Create(a)), write("x", Action::Update(b))]).unwrap().unwrap();
    assert_eq!(ops, [RepoOp { path: "com.example.note/x".into(), cid: Some(b), prev: None }]);
    let ops = repo.write(2, &[write("x", Action::Delete), write("x", Action::Create(a))]).unwrap().unwrap();
    assert_eq!(ops, [RepoOp { path: "com.example.note/x".into(), cid: Some(a), prev: Some(b) }]);
}

#[test]
fn a_batch_without_net_effect_makes_no_commit() {
    let mut repo = Repo::new();
    let a = record(1).0;
    assert!(repo.write(1, &[write("x", Action::Create(a)), write("x", Action::Delete)]).unwrap().is_none());
    assert!(repo.write(1, &[write("x", Action::Delete)]).unwrap().is_none());
    repo.write(1, &[write("x", Action::Put(a))]).unwrap().unwrap();
    assert!(repo.write(2, &[write("x", Action::Put(a))]).unwrap().is_none());
}

#[test]
fn creates_updates_and_swaps_that_do_not_fit_are_refused() {
    let mut repo = Repo::new();
    let (a, b) = (record(1).0, record(2).0);
    repo.write(1, &[write("x", Action::Create(a))]).unwrap();
    let exists = repo.write(2, &[write("y", Action::Create(a)), write("x", Action::Create(b))]);
    assert!(matches!(exists, Err(ApplyError::Exists(path)) if path.ends_with("/x")));
    assert!(matches!(repo.write(2, &[write("z", Action::Update(b))]), Err(ApplyError::Missing(_))));
    for wrong in [Some(b), None] {
        let swap = Write { swap: Some(wrong), ..write("x", Action::Put(b)) };
        assert!(matches!(repo.write(2, &[swap]), Err(ApplyError::Swap { found, .. }) if found == Some(a)));
    }
    assert!(matches!(repo.write(1, &[write("y", Action::Put(b))]), Err(ApplyError::Rev(_))));
    let swap = Write { swap: Some(Some(a)), ..write("x", Action::Put(b)) };
    assert!(repo.write(2, &[swap]).unwrap().is_some());
}

#[test]
fn paths_that_are_no_records_are_refused() {
    let mut repo = Repo::new();
    for path in
        ["com.example.note/..", "com.example.note/a/b", "note/a", "com.example.note/", "com.example.note"]
    {
        for action in [Action::Put(record(1).0), Action::Delete] {
            let refused = repo.write(1, &[Write { path: path.into(), action, swap: None }]);
            assert!(matches!(refused, Err(ApplyError::Mst(MstError::Key(_)))), "{path}");
        }
    }
}

proptest! {
    #[test]
    fn any_batches_invert_from_their_proof_and_the_export_verifies(
        batches in prop::collection::vec(prop::collection::vec((0u8..40, 0u8..4, 0u8..6), 1..12), 1..8),
    ) {
        let mut repo = Repo::new();
        let mut model = BTreeMap::new();
        for (n, batch) in (1u64..).zip(&batches) {
            let writes: Vec<Write> = batch.iter().map(|(rkey, kind, value)| {
                let (cid, block) = record(*value);
                repo.blocks.insert(cid, block);
                let w = write(&format!("k{rkey}"), if *kind == 0 { Action::Delete } else { Action::Put(cid) });
                if *kind == 0 { model.remove(&w.path); } else { model.insert(w.path.clone(), cid); }
                w
            }).collect();
            repo.write(n, &writes).unwrap();
        }
        let mut bytes = car::header(&[repo.head.commit]);
        for (cid, block) in &repo.blocks {
            car::section(cid, block, &mut bytes);
        }
        let verified = verify_repo(&car::read_all(&bytes).unwrap(), &did(), &key().public()).unwrap();
        prop_assert_eq!(verified.records, model.into_iter().collect::<Vec<_>>());
    }
}
