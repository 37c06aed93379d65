// What mirrors read beside whole exports: differences since a revision, proofs of single records, and blocks by CID. All of it
// is checked by `@atproto/repo`, the proofs also by `@atcute/*`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from '@atcute/cbor'
import { P256PublicKey, Secp256k1PublicKey, parseDidKey } from '@atcute/crypto'
import { MemoryBlockStore, NodeStore, verifyExclusion, verifyInclusion } from '@atcute/mst'
import { verifyRecord } from '@atcute/repo'
import { parseCid } from '@atproto/lex-data'
import {
  BlockMap,
  MemoryBlockstore,
  Repo,
  readCar,
  readCarWithRoot,
  verifyDiffCar,
  verifyProofs,
  verifyRecords,
} from '@atproto/repo'
import { rookeryUrl } from './servers.mjs'
import { download, readBlocks, resolve, verifyAccount, verifyCar } from './verify.mjs'
import { WelcomeMatAgent, freshHandle } from './wm.mjs'

const origin = rookeryUrl()
const POST = 'com.example.post'
const NOTE = 'org.example-two.notes.note'

/** An agent with `count` records, alternately of two collections, and its key. */
async function writer(count) {
  const agent = await (await WelcomeMatAgent.create(origin)).enroll(freshHandle())
  const writes = Array.from({ length: count }, (_, n) => change('create', n % 2 ? NOTE : POST, `k${n}`, { n }))
  for (let from = 0; from < count; from += 200) await write(agent, writes.slice(from, from + 200))
  return { agent, did: agent.did, key: (await resolve(origin, agent.did)).key }
}

const change = (action, collection, rkey, fields) => ({
  $type: `com.atproto.repo.applyWrites#${action}`,
  collection,
  rkey,
  ...(fields ? { value: { $type: collection, ...fields } } : {}),
})

async function write(agent, writes) {
  const { status, body, text } = await agent.procedure('com.atproto.repo.applyWrites', { repo: agent.did, writes })
  assert.equal(status, 200, text)
  return body.commit
}

/** Asks for a CAR. */
async function car(nsid, params) {
  const response = await fetch(`${origin}/xrpc/com.atproto.sync.${nsid}?${new URLSearchParams(params)}`)
  assert.equal(response.status, 200, await response.clone().text())
  assert.equal(response.headers.get('content-type'), 'application/vnd.ipld.car')
  return new Uint8Array(await response.arrayBuffer())
}

const proof = (did, collection, rkey) => car('getRecord', { did, collection, rkey })

test('an export since a revision is a difference that verifies on top of the old export', async () => {
  const { agent, did, key } = await writer(300)
  let old = await download(origin, did)
  const rounds = [
    [change('create', POST, 'new', { n: 'new' })],
    [change('update', POST, 'k10', { n: 'changed' }), change('delete', NOTE, 'k11'), change('create', NOTE, 'more', {})],
    Array.from({ length: 100 }, (_, n) => change('delete', n % 2 ? NOTE : POST, `k${n + 20}`)),
    Array.from({ length: 200 }, (_, n) => change('create', POST, `again${n}`, { again: n })),
  ]
  for (const round of rounds) {
    const { root, blocks } = await readCarWithRoot(old)
    const before = await Repo.load(new MemoryBlockstore(blocks), root)
    const { cid, rev } = await write(agent, round)
    const diff = await car('getRepo', { did, since: before.commit.rev })
    const { writes, commit } = await verifyDiffCar(before, diff, did, key)
    assert.deepEqual([commit.cid.toString(), commit.rev], [cid, rev])
    const told = writes.map(({ action, collection, rkey }) => `${action} ${collection}/${rkey}`).sort()
    const done = round.map(({ $type, collection, rkey }) => `${$type.split('#')[1]} ${collection}/${rkey}`).sort()
    assert.deepEqual(told, done)

    // Old and new blocks together hold the whole repo, and the difference has no old ones.
    old = await download(origin, did)
    const whole = await readCarWithRoot(old)
    const news = await readCarWithRoot(diff)
    for (const name of news.blocks.cids()) assert.ok(!blocks.has(name), `${name} is not new`)
    for (const name of whole.blocks.cids()) assert.ok(blocks.has(name) || news.blocks.has(name), `${name} is missing`)
    await verifyCar(old, did, key)
  }
})

test('the presence of a record is proven, and its absence', async () => {
  const { agent, did, key } = await writer(260)
  await write(agent, [change('delete', POST, 'k100')])
  const { head, root, records } = await verifyAccount(origin, did)
  const { type, publicKeyBytes } = parseDidKey(key)
  const publicKey = await (type === 'p256' ? P256PublicKey : Secp256k1PublicKey).importRaw(publicKeyBytes)
  const other = [...records.values()][0].cid
  const paths = [...records.keys(), `${POST}/k100`, `${POST}/zzz`, `${NOTE}/-`, 'com.example.aaa/x', 'zzz.example.z/z']
  for (const path of paths) {
    const [collection, rkey] = path.split('/')
    const carBytes = await proof(did, collection, rkey)
    const claim = (cid) => ({ collection, rkey, cid: cid ? parseCid(cid) : null })
    const cid = records.get(path)?.cid ?? null
    const right = await verifyProofs(carBytes, [claim(cid)], did, key)
    assert.deepEqual([right.verified.length, right.unverified.length], [1, 0], path)
    const wrong = await verifyProofs(carBytes, [claim(cid ? null : other)], did, key)
    assert.deepEqual([wrong.verified.length, wrong.unverified.length], [0, 1], path)

    const { roots, blocks } = await readBlocks(carBytes)
    assert.deepEqual(roots.map(({ $link }) => $link), [head])
    const nodes = new NodeStore(new MemoryBlockStore(blocks))
    await (cid ? verifyInclusion : verifyExclusion)(nodes, root, path)
    if (!cid) continue
    const proven = await verifyRecord({ did, collection, rkey, publicKey, carBytes })
    assert.deepEqual(JSON.parse(JSON.stringify(proven.record)), records.get(path).value)
    assert.deepEqual(decode(blocks.get(cid)).$type, collection)
    const found = await verifyRecords(carBytes, did, key)
    assert.ok(found.some((record) => record.collection === collection && record.rkey === rkey), path)
  }
})

test('a proof is not one for another account, another key or another record', async () => {
  const [{ did, key }, stranger] = [await writer(40), await writer(1)]
  const carBytes = await proof(did, POST, 'k0')
  const claims = [{ collection: POST, rkey: 'k0', cid: null }]
  await assert.rejects(verifyProofs(carBytes, claims, stranger.did, key), /did/i)
  await assert.rejects(verifyProofs(carBytes, claims, did, stranger.key), /signature/i)
})

test('an empty repo proves that a record is not there', async () => {
  const { did, key } = await writer(0)
  const claims = [{ collection: POST, rkey: 'self', cid: null }]
  const { verified } = await verifyProofs(await proof(did, POST, 'self'), claims, did, key)
  assert.equal(verified.length, 1)
})

test('blocks by CID are the blocks of the export', async () => {
  const { did } = await writer(150)
  const { blocks } = await readCarWithRoot(await download(origin, did))
  const cids = blocks.cids().map(String)
  const found = new BlockMap()
  for (let from = 0; from < cids.length; from += 90) {
    const asked = cids.slice(from, from + 90)
    const part = await readCar(await car('getBlocks', [['did', did], ...asked.map((cid) => ['cids', cid])]))
    assert.deepEqual(part.roots, [])
    assert.deepEqual(part.blocks.cids().map(String).sort(), asked.toSorted())
    found.addMap(part.blocks)
  }
  assert.ok(found.equals(blocks))
})

test('a block that is not there is named', async () => {
  const { agent, did } = await writer(1)
  const absent = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm'
  const { status, body } = await agent.query('com.atproto.sync.getBlocks', { did, cids: absent })
  assert.deepEqual([status, body.error], [400, 'BlockNotFound'])
  assert.match(body.message, new RegExp(`Could not find cids: ${absent}`))
})
