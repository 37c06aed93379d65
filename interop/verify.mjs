// Checks a repository with two independent implementations and compares what they say.
//
// A: `@atproto/repo` with `@atproto/crypto`, the reference's own library.
// B: `@atcute/*`, written apart from it (its tree is a port of the Python `atmst`).
//
// Each reads the CAR, checks every hash and the commit's signature, and walks the tree. Then both build the tree anew
// from the keys and CIDs alone: a Merkle search tree has one shape for one content, so the roots must agree.

import assert from 'node:assert/strict'
import { fromUint8Array as readCar } from '@atcute/car'
import { decode, encode, fromBytes } from '@atcute/cbor'
import { create, toString as cidToString } from '@atcute/cid'
import { verifySigWithDidKey } from '@atcute/crypto'
import { MemoryBlockStore, MSTNode, NodeStore, NodeWalker, NodeWrangler } from '@atcute/mst'
import { fromUint8Array as readRepo, isCommit } from '@atcute/repo'
import { DidResolver, getKey, getPds } from '@atproto/identity'
import { MST, MemoryBlockstore, verifyRepoCar } from '@atproto/repo'
import { parseCid } from '@atproto/lex-data'

const DAG_CBOR = 0x71

/** Resolves `did` at the PLC directory `plcUrl`; answers the document, the signing key (did:key) and the PDS's URL. */
export async function resolve(plcUrl, did) {
  const resolver = new DidResolver({ plcUrl, fetch: globalThis.fetch })
  const document = await resolver.resolve(did, true)
  assert.ok(document, `${did} does not resolve at ${plcUrl}`)
  return { document, key: getKey(document), pds: getPds(document) }
}

/** Downloads the whole repository of `did`. */
export async function download(origin, did) {
  const response = await fetch(`${origin}/xrpc/com.atproto.sync.getRepo?did=${did}`)
  assert.equal(response.status, 200, `getRepo of ${did}`)
  assert.equal(response.headers.get('content-type'), 'application/vnd.ipld.car')
  return new Uint8Array(await response.arrayBuffer())
}

/** Downloads and verifies in one go; the key comes from the DID document. */
export async function verifyAccount(origin, did, plcUrl = origin) {
  const { key } = await resolve(plcUrl, did)
  return verifyCar(await download(origin, did), did, key)
}

/**
 * Verifies a full CAR with A and B. Answers `{head, rev, root, records}`, with `records` a map from
 * `collection/rkey` to `{cid, value}`, where `value` is atproto JSON. Throws at the first thing that is wrong.
 */
export async function verifyCar(car, did, key) {
  const a = await verifyWithAtproto(car, did, key)
  const b = await verifyWithAtcute(car, did, key)
  assert.equal(b.head, a.head)
  assert.equal(b.rev, a.rev)
  const cids = new Map([...b.records].map(([path, { cid }]) => [path, cid]))
  assert.deepEqual(cids, a.records, 'the two libraries read different records')
  assert.equal(b.root, await rebuildWithAtcute(cids), 'not the canonical tree (@atcute/mst)')
  assert.equal(b.root, await rebuildWithAtproto(cids), 'not the canonical tree (@atproto/repo)')
  return b
}

/** What stack A makes of a CAR. */
export async function verifyWithAtproto(car, did, key) {
  const { creates, commit } = await verifyRepoCar(car, did, key)
  const records = new Map(creates.map((made) => [`${made.collection}/${made.rkey}`, made.cid.toString()]))
  return { head: commit.cid.toString(), rev: commit.rev, records }
}

/** What stack B makes of a CAR. */
export async function verifyWithAtcute(car, did, key) {
  const { roots, blocks } = await readBlocks(car)
  assert.equal(roots.length, 1, 'a repository CAR has one root')
  const head = roots[0].$link
  const commit = decode(blocks.get(head))
  assert.ok(isCommit(commit), 'the root is not a commit')
  assert.equal(commit.did, did)
  assert.equal(commit.version, 3)
  assert.equal(commit.prev, null)
  const { sig, ...unsigned } = commit
  assert.ok(await verifySigWithDidKey(key, fromBytes(sig), encode(unsigned)), 'the commit is not signed by the key')

  const records = new Map()
  for (const entry of readRepo(car)) {
    records.set(`${entry.collection}/${entry.rkey}`, { cid: entry.cid.$link, value: toJson(entry.record) })
  }
  await assertNothingElse(blocks, head, commit.data.$link, records)
  return { head, rev: commit.rev, root: commit.data.$link, records }
}

/** Every block of a CAR by CID, each checked against its hash. */
export async function readBlocks(car) {
  const reader = readCar(car)
  const blocks = new Map()
  for (const { cid, bytes } of reader) {
    const name = cidToString(cid)
    assert.equal(cidToString(await create(cid.codec, bytes)), name, 'a block does not match its CID')
    blocks.set(name, bytes)
  }
  return { roots: reader.roots, blocks }
}

/** A full export holds the commit, the tree and the records, and not a block more. */
async function assertNothingElse(blocks, head, root, records) {
  const needed = new Set([head, root])
  for (const { cid } of records.values()) needed.add(cid)
  const store = new NodeStore(new MemoryBlockStore(blocks))
  const walker = await NodeWalker.create(store, root)
  for await (const { $link } of walker.nodeCids()) needed.add($link)
  for (const name of blocks.keys()) assert.ok(needed.has(name), `the CAR holds ${name}, which nothing refers to`)
}

/** The root that `@atcute/mst` gives a tree with this content. `cids` maps `collection/rkey` to a CID. */
export async function rebuildWithAtcute(cids) {
  const wrangler = new NodeWrangler(new NodeStore(new MemoryBlockStore()))
  let root = null
  for (const [path, cid] of cids) root = await wrangler.putRecord(root, path, { $link: cid })
  return root ?? (await MSTNode.empty().cid()).$link
}

/** The same by `@atproto/repo`. */
export async function rebuildWithAtproto(cids) {
  let tree = await MST.create(new MemoryBlockstore())
  for (const [path, cid] of cids) tree = await tree.add(path, parseCid(cid))
  return (await tree.getPointer()).toString()
}

/** The CID of a record given as atproto JSON, by `@atcute/cbor`. */
export async function cidOfJson(value) {
  return cidToString(await create(DAG_CBOR, encode(value)))
}

/** Turns wrapped CIDs and byte strings into the `$link` and `$bytes` objects of atproto JSON. */
const toJson = (value) => JSON.parse(JSON.stringify(value))
