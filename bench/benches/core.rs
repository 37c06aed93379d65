//! The core without a server: what its parts cost by themselves, with nothing but memory below them.
//!
//! `cargo bench -p rookery-bench --bench core`; a name after `--` runs what has it in its name. Repos have random keys,
//! the harder case, and records like the short posts that most repos are full of.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what is made here holds")]

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use rookery_atproto::car;
use rookery_atproto::crypto::{Curve, SecretKey};
use rookery_atproto::data::record::check_record;
use rookery_atproto::data::{Cid, Map, Value, cbor, json};
use rookery_atproto::event::{self, CommitEvent};
use rookery_atproto::mst::{BlockMap, Mst, NodeSource};
use rookery_atproto::repo::{Action, Applied, Head, Write, apply, create, verify_repo};
use rookery_atproto::syntax::{Did, Tid};
use rookery_auth::dpop::{Expect, UnverifiedProof};
use rookery_auth::jwk::PublicJwk;
use rookery_auth::mint::{self, ProofClaims, Signer};
use rookery_auth::origin::Origins;
use rookery_auth::replay::{ReplayGuard, proof_digest};
use rookery_testkit::TestKey;
use std::hint::black_box;

/// New keys that are inserted in turn.
const NEW: u64 = 1_000;
const ORIGIN: &str = "https://pds.example.com";
const PATH: &str = "/xrpc/com.atproto.repo.createRecord";
/// When proofs are signed and checked.
const NOW: i64 = 1_790_000_000;
const WHEN: &str = "2026-11-21T09:30:00.000Z";
/// As JSON over HTTP: a reply with a link in it.
const RECORD: &str = r#"{"$type":"app.bsky.feed.post","createdAt":"2026-11-21T09:30:00.000Z","langs":["en"],
"text":"The nest is finished at last, and it took fewer twigs than we thought: https://example.com/nest",
"facets":[{"index":{"byteStart":71,"byteEnd":95},"features":[{"$type":"app.bsky.richtext.facet#link",
"uri":"https://example.com/nest"}]}],
"reply":{"root":{"uri":"at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l4qpjf5xmc2p",
"cid":"bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"},
"parent":{"uri":"at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l4qpjf5xmc2p",
"cid":"bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"}}}"#;

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    records(&mut criterion);
    signatures(&mut criterion);
    proofs(&mut criterion);
    for size in [1_000, 100_000] {
        writes(&mut criterion, size);
    }
    for size in [10_000, 100_000] {
        exports(&mut criterion, size);
    }
    criterion.final_summary();
}

/// One record, between JSON and its hash.
fn records(criterion: &mut Criterion) {
    let value = json::parse(RECORD.as_bytes(), json::MAX_DEPTH).unwrap();
    let block = cbor::encode(&value);
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Bytes(u64::try_from(block.len()).unwrap()));
    group.bench_function("cbor decode", |bench| bench.iter(|| cbor::decode(black_box(&block)).unwrap()));
    group.bench_function("cbor encode", |bench| bench.iter(|| cbor::encode(black_box(&value))));
    group.bench_function("json to checked cbor", |bench| {
        bench.iter(|| {
            let value = json::parse(black_box(RECORD.as_bytes()), json::MAX_DEPTH).unwrap();
            check_record(&value).unwrap();
            cbor::encode(&value)
        });
    });
    group.bench_function("cbor to json", |bench| {
        let mut out = Vec::new();
        bench.iter(|| {
            out.clear();
            json::from_cbor(black_box(&block), &mut out).unwrap();
        });
    });
    group.bench_function("cid", |bench| bench.iter(|| Cid::dag_cbor(black_box(&block))));
    group.finish();
}

/// The keys of accounts.
fn signatures(criterion: &mut Criterion) {
    let (key, message) = (account(), [b'a'; 200]);
    let (public, signature) = (key.public(), key.sign(&message));
    let mut group = criterion.benchmark_group("secp256k1");
    group.bench_function("sign", |bench| bench.iter(|| key.sign(black_box(&message))));
    group.bench_function("verify", |bench| {
        bench.iter(|| public.verify(black_box(&message), black_box(&signature)).unwrap());
    });
    group.finish();
}

/// What a server does with the proof of a request: read, compare, verify, remember.
fn proofs(criterion: &mut Criterion) {
    let origins = Origins::new(&[ORIGIN]).unwrap();
    let mut group = criterion.benchmark_group("proof");
    for (name, key) in
        [("es256", TestKey::p256()), ("ed25519", TestKey::ed25519()), ("rs256", TestKey::rsa(0))]
    {
        let htu = format!("{ORIGIN}{PATH}");
        let token = Some("token");
        let claims =
            ProofClaims { jti: "jti", htm: "POST", htu: &htu, iat: NOW, access_token: token, nonce: None };
        let proof = mint::proof(&key, &claims).unwrap();
        let expect = Expect {
            method: "POST",
            origins: &origins,
            path: PATH,
            now: NOW,
            skew: 300,
            access_token: claims.access_token,
        };
        let public = parsed(key.jwk());
        let (mut guard, mut count) = (ReplayGuard::new(300, usize::MAX), 0_u128);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let unverified = UnverifiedProof::parse(black_box(&proof)).unwrap();
                unverified.check(&expect).unwrap();
                let check = unverified.signature_check();
                public.verify_sig(&check.message, &check.signature).unwrap();
                let proof = unverified.verified();
                black_box(proof_digest(&proof.thumbprint, &proof.jti));
                // Another each time: this one would be a replay.
                count += 1;
                guard.check_and_insert(count.to_le_bytes(), proof.iat, NOW).unwrap();
            });
        });
    }
    group.finish();
}

/// One new record in a repo of some size.
fn writes(criterion: &mut Criterion, size: u64) {
    let (head, blocks) = repo(size);
    let (did, key, rev) = (did(), account(), Tid::new(head.rev.micros() + 1, 1));
    let (cid, body) = record(size);
    let new = |n: u64| Write { path: path(size + n % NEW), action: Action::Create(cid), swap: None };
    let mut group = criterion.benchmark_group("write");
    let mut n = 0;
    group.bench_function(BenchmarkId::new("tree insert", size), |bench| {
        bench.iter(|| {
            n += 1;
            let mut tree = Mst::open(&blocks, head.root);
            tree.insert(&path(size + n % NEW), cid).unwrap();
            tree.root_cid().unwrap()
        });
    });
    group.bench_function(BenchmarkId::new("commit, signed", size), |bench| {
        bench.iter(|| {
            n += 1;
            apply(&blocks, &head, &[new(n)], &did, rev, &key).unwrap().unwrap()
        });
    });
    let mut applied = apply(&blocks, &head, &[new(0)], &did, rev, &key).unwrap().unwrap();
    group.bench_function(BenchmarkId::new("event frame", size), |bench| {
        bench.iter(|| frame(&mut applied, &did, (cid, &body)));
    });
    group.finish();
}

/// A whole repo as CAR.
fn exports(criterion: &mut Criterion, size: u64) {
    let (head, blocks) = repo(size);
    let (did, key) = (did(), account().public());
    let encode = || {
        let mut out = car::header(&[head.commit]);
        for (cid, block) in &blocks {
            car::section(cid, block, &mut out);
        }
        out
    };
    let bytes = encode();
    let mut group = criterion.benchmark_group("repo");
    group.sample_size(10).throughput(Throughput::Bytes(u64::try_from(bytes.len()).unwrap()));
    group.bench_function(BenchmarkId::new("car encode", size), |bench| bench.iter(encode));
    group.bench_function(BenchmarkId::new("verified load", size), |bench| {
        bench.iter(|| {
            let car = car::read_all(black_box(&bytes)).unwrap();
            verify_repo(&car, &did, &key).unwrap().records.len()
        });
    });
    group.finish();
}

/// The frame of a commit with one record, diff and all.
fn frame<S: NodeSource>(applied: &mut Applied<S>, did: &Did, (cid, body): (Cid, &[u8])) -> Vec<u8> {
    let diff = applied.diff(std::iter::once((cid, body))).unwrap();
    let commit = CommitEvent {
        repo: did,
        commit: applied.head.commit,
        rev: applied.head.rev,
        since: applied.since,
        prev_data: applied.prev_data,
        ops: &applied.ops,
        blocks: &diff,
        time: WHEN,
    };
    event::commit(&commit).frame(1_790_000_000_000_000).unwrap()
}

/// A repo of so many records, with all of its blocks.
fn repo(size: u64) -> (Head, BlockMap) {
    let (did, key) = (did(), account());
    let first = create(&did, Tid::new(1_790_000_000_000_000, 1), &key).unwrap();
    let mut blocks: BlockMap = (0..size).map(record).collect();
    blocks.extend(first.change.written.into_iter().map(|node| (node.link.cid, node.block)));
    let writes: Vec<Write> =
        (0..size).map(|n| Write { path: path(n), action: Action::Create(record(n).0), swap: None }).collect();
    let rev = Tid::new(1_790_000_000_000_001, 1);
    let applied = apply(&blocks, &first.head, &writes, &did, rev, &key).unwrap().unwrap();
    let (head, commit, change) = (applied.head, applied.commit_block, applied.change);
    for cid in &change.replaced {
        blocks.remove(cid);
    }
    blocks.extend(change.written.into_iter().map(|node| (node.link.cid, node.block)));
    blocks.insert(head.commit, commit);
    (head, blocks)
}

fn record(n: u64) -> (Cid, Bytes) {
    let text = Value::Text(format!("number {n}, {}", "a".repeat(180)));
    let entries =
        vec![("$type".to_owned(), Value::Text("com.example.note".to_owned())), ("text".to_owned(), text)];
    let block = cbor::encode(&Value::Map(Map::from_entries(entries).unwrap()));
    (Cid::dag_cbor(&block), block.into())
}

/// Where the record with this number is: anywhere, by a hash, in the form of a TID.
fn path(n: u64) -> String {
    let hash = Cid::raw(&n.to_be_bytes());
    let number = u64::from_be_bytes(hash.digest()[..8].try_into().unwrap());
    format!("com.example.note/{}", Tid::from_u64(number >> 1).unwrap())
}

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn account() -> SecretKey {
    SecretKey::from_bytes(Curve::K256, &[7; 32]).unwrap()
}

/// As the server keeps keys of agents.
fn parsed(key: &PublicJwk) -> ParsedPublicKey {
    match key {
        PublicJwk::Rsa { n, e } => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).unwrap()
        }
        PublicJwk::P256 { x, y } => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], x.as_slice(), y].concat()).unwrap()
        }
        PublicJwk::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x).unwrap(),
    }
}
