//! CAR: whatever arrives in whatever chunks, a block that comes out has the hash it is named by, and memory is bounded.
//!
//! The first byte is the length of the chunks. Where the second one is odd, hashes are put right first: few bytes that a
//! fuzzer changes would be let in otherwise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_atproto::car::{self, Car, CarError, Limits, Reader};
use rookery_atproto::crypto::{Curve, PublicKey, SecretKey};
use rookery_atproto::data::Cid;
use rookery_atproto::repo::{RepoOp, verify_commit_diff, verify_repo};
use rookery_atproto::syntax::Did;
use rookery_fuzz::Choices;
use std::sync::LazyLock;

static OWNER: LazyLock<(Did, PublicKey)> = LazyLock::new(|| {
    let key = SecretKey::from_bytes(Curve::K256, &[1; 32]).expect("a key");
    (Did::parse("did:web:example.com").expect("a DID"), key.public())
});

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let (Some(chunk), Some(mend)) = (choices.byte(), choices.byte()) else { return };
    let mut input = choices.take(usize::MAX).to_vec();
    if mend % 2 == 1 {
        put_hashes_right(&mut input);
    }
    let whole = in_chunks(&input, input.len().max(1));
    let pieces = in_chunks(&input, usize::from(chunk).max(1));
    match (whole, pieces) {
        (Ok((blocks, roots)), Ok((again, same))) => {
            assert_eq!((&blocks, &roots), (&again, &same), "chunks make no difference");
            let mut written = car::header(&roots);
            blocks.iter().for_each(|(cid, block)| car::section(cid, block, &mut written));
            assert_eq!(written, input, "there is one way to write a CAR");
            check(Car { roots, blocks: blocks.into_iter().collect() });
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("chunks make a difference: {whole:?}, {pieces:?}"),
    }
});

type Blocks = Vec<(Cid, bytes::Bytes)>;

fn in_chunks(input: &[u8], length: usize) -> Result<(Blocks, Vec<Cid>), CarError> {
    let mut reader = Reader::new(Limits::default());
    let mut blocks = Vec::new();
    for chunk in input.chunks(length) {
        reader.feed(chunk);
        while let Some((cid, block)) = reader.next_block()? {
            assert!(cid.verifies(&block), "{cid}");
            blocks.push((cid, block));
        }
    }
    Ok((blocks, reader.finish()?))
}

/// Verifying never panics, and nothing that this key has not signed is accepted.
fn check(car: Car) {
    let (did, key) = &*OWNER;
    assert!(verify_repo(&car, did, key).is_err());
    let path = "com.example.note/a".to_owned();
    let ops: Vec<RepoOp> =
        car.roots.iter().map(|cid| RepoOp { path: path.clone(), cid: Some(*cid), prev: None }).collect();
    assert!(verify_commit_diff(&car, &ops, None, did, key).is_err());
}

/// Gives each section that is all there the CID of its block. Lengths of one and two bytes are enough here.
fn put_hashes_right(input: &mut [u8]) {
    let mut rest = input;
    let mut header = true;
    loop {
        let (length, prefix) = match *rest {
            [low, ..] if low < 0x80 => (usize::from(low), 1),
            [low, high, ..] if high < 0x80 => (usize::from(low & 0x7f) | usize::from(high) << 7, 2),
            _ => return,
        };
        let Some((section, after)) = rest.split_at_mut_checked(prefix + length) else { return };
        if let Some((cid, block)) = section.split_at_mut(prefix).1.split_at_mut_checked(36)
            && !header
        {
            let right = if cid.get(1) == Some(&0x55) { Cid::raw(block) } else { Cid::dag_cbor(block) };
            cid.copy_from_slice(right.as_bytes());
        }
        header = false;
        rest = after;
    }
}
