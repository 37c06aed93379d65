// The tools are tested before they are trusted: the verifiers must pass what the reference library makes and refuse what
// has been tampered with, and the WelcomeMat client must make what the specification says. Needs no server.

import assert from 'node:assert/strict'
import { randomBytes, verify as verifyBytes } from 'node:crypto'
import { test } from 'node:test'
import { encode } from '@atcute/cbor'
import { Secp256k1Keypair } from '@atproto/crypto'
import { encode as lexEncode } from '@atproto/lex-cbor'
import { parseCid } from '@atproto/lex-data'
import {
  BlockMap,
  CidSet,
  MemoryBlockstore,
  Repo,
  WriteOpAction,
  blocksToCarFile,
  getFullRepo,
  readCarWithRoot,
  signCommit,
} from '@atproto/repo'
import { EmbeddedJWK, calculateJwkThumbprint, importJWK, jwtVerify } from 'jose'
import {
  cidOfJson,
  rebuildWithAtcute,
  rebuildWithAtproto,
  verifyCar,
  verifyWithAtcute,
  verifyWithAtproto,
} from './verify.mjs'
import { checkCommit, checkSync, readFrame } from './firehose.mjs'
import { ALGORITHMS, WelcomeMatAgent, sha256url } from './wm.mjs'

const DID = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'

const creation = (rkey, record) => ({
  action: WriteOpAction.Create,
  collection: 'com.example.thing',
  rkey,
  record: { $type: 'com.example.thing', ...record },
})

/** A repository of `count` records made by the reference library, as a CAR, with the key it is signed with. */
async function referenceRepo(count) {
  const keypair = await Secp256k1Keypair.create()
  const writes = Array.from({ length: count }, (_, n) => creation(`rec${n}`, { n, text: `record ${n}` }))
  const storage = new MemoryBlockstore()
  const repo = await Repo.create(storage, DID, keypair, writes)
  const chunks = []
  for await (const chunk of getFullRepo(storage, repo.cid)) chunks.push(chunk)
  return { car: new Uint8Array(Buffer.concat(chunks)), keypair, key: keypair.did(), repo }
}

/** Signs a commit over `root` and packs it with `blocks`. */
async function forgedCar(blocks, root, keypair) {
  const unsigned = { did: DID, version: 3, data: root, rev: '3jzfcijpj2z2a', prev: null }
  const head = await blocks.add(await signCommit(unsigned, keypair))
  return blocksToCarFile(head, blocks)
}

test('a repository made by the reference library verifies', async () => {
  for (const count of [0, 1, 300]) {
    const { car, key, repo } = await referenceRepo(count)
    const verified = await verifyCar(car, DID, key)
    assert.equal(verified.head, repo.cid.toString())
    assert.equal(verified.records.size, count)
    for (const { cid, value } of verified.records.values()) assert.equal(await cidOfJson(value), cid)
  }
})

test('a repository signed with another key is refused', async () => {
  const { car } = await referenceRepo(3)
  const other = await Secp256k1Keypair.create()
  await assert.rejects(verifyWithAtproto(car, DID, other.did()), /Invalid signature/i)
  await assert.rejects(verifyWithAtcute(car, DID, other.did()), /not signed by the key/)
})

test('a repository of another account is refused', async () => {
  const { car, key } = await referenceRepo(3)
  for (const verify of [verifyWithAtproto, verifyWithAtcute]) {
    await assert.rejects(verify(car, 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb', key), /did/i)
  }
})

test('a changed byte anywhere in the CAR is refused', async () => {
  const { car, key } = await referenceRepo(20)
  for (let tries = 0; tries < 40; tries += 1) {
    const position = 70 + Math.floor(((car.length - 70) * tries) / 40)
    const changed = car.slice()
    changed[position] ^= 0x01
    await assert.rejects(verifyWithAtproto(changed, DID, key), `A, byte ${position}`)
    await assert.rejects(verifyWithAtcute(changed, DID, key), `B, byte ${position}`)
  }
})

test('a missing block is refused', async () => {
  const { car, key, repo } = await referenceRepo(20)
  const { root, blocks } = await readCarWithRoot(car)
  const victim = blocks.cids().find((cid) => !cid.equals(root) && !cid.equals(repo.commit.data))
  blocks.delete(victim)
  const incomplete = await blocksToCarFile(root, blocks)
  await assert.rejects(verifyWithAtproto(incomplete, DID, key))
  await assert.rejects(verifyWithAtcute(incomplete, DID, key))
})

test('a block that nothing refers to is refused', async () => {
  const { car, key } = await referenceRepo(3)
  const { root, blocks } = await readCarWithRoot(car)
  await blocks.add({ stray: true })
  await assert.rejects(verifyCar(await blocksToCarFile(root, blocks), DID, key), /nothing refers to/)
})

test('a tree with an empty layer on top is refused although every hash and the signature hold', async () => {
  const { car, keypair, key, repo } = await referenceRepo(3)
  const { blocks } = await readCarWithRoot(car)
  blocks.delete(repo.cid)
  const root = await blocks.add({ l: repo.commit.data, e: [] })
  await assert.rejects(verifyCar(await forgedCar(blocks, root, keypair), DID, key), /canonical|height/)
})

test('both libraries rebuild the empty tree to the well-known root', async () => {
  const empty = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm'
  assert.equal(await rebuildWithAtcute(new Map()), empty)
  assert.equal(await rebuildWithAtproto(new Map()), empty)
})

test('both libraries rebuild a tree to the same root in any order', async () => {
  const value = parseCid('bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm')
  const cids = new Map(Array.from({ length: 200 }, (_, n) => [`com.example.thing/k${n}`, value.toString()]))
  const reversed = new Map([...cids].reverse())
  const roots = [
    await rebuildWithAtcute(cids),
    await rebuildWithAtcute(reversed),
    await rebuildWithAtproto(cids),
    await rebuildWithAtproto(reversed),
  ]
  assert.equal(new Set(roots).size, 1)
})

/** A commit of the reference library on top of 100 records, with a create, an update and two deletes. */
async function referenceCommit() {
  const { repo, keypair, key } = await referenceRepo(100)
  const path = (rkey) => `com.example.thing/${rkey}`
  const before = new Map()
  for (const rkey of ['rec7', 'rec33', 'rec90']) before.set(rkey, await repo.data.get(path(rkey)))
  const collection = 'com.example.thing'
  const made = await repo.formatCommit(
    [
      creation('added', { n: 'new' }),
      { ...creation('rec7', { n: 'changed' }), action: WriteOpAction.Update },
      { action: WriteOpAction.Delete, collection, rkey: 'rec33' },
      { action: WriteOpAction.Delete, collection, rkey: 'rec90' },
    ],
    keypair,
  )
  const after = await repo.applyCommit(made)
  const ops = [
    { action: 'create', path: path('added'), cid: await after.data.get(path('added')) },
    { action: 'update', path: path('rec7'), cid: await after.data.get(path('rec7')), prev: before.get('rec7') },
    { action: 'delete', path: path('rec33'), cid: null, prev: before.get('rec33') },
    { action: 'delete', path: path('rec90'), cid: null, prev: before.get('rec90') },
  ]
  const known = { rev: repo.commit.rev, data: repo.commit.data.toString() }
  const fields = {
    seq: 1,
    rebase: false,
    tooBig: false,
    repo: DID,
    commit: made.cid,
    rev: made.rev,
    since: known.rev,
    prevData: repo.commit.data,
    ops,
    blobs: [],
    time: new Date().toISOString(),
  }
  return { fields, blocks: made.relevantBlocks, tree: after.data, root: after.commit.data, key, known, before }
}

/** The frame of a `#commit` with these blocks, as it is read. */
async function frame(fields, blocks) {
  const body = { ...fields, blocks: await blocksToCarFile(fields.commit, blocks) }
  return readFrame(Buffer.concat([lexEncode({ op: 1, t: '#commit' }), lexEncode(body)])).body
}

test('a commit made by the reference library passes the checks of the firehose', async () => {
  const { fields, blocks, root, key, known } = await referenceCommit()
  const checked = await checkCommit(await frame(fields, blocks), key, known)
  assert.deepEqual(checked, { head: fields.commit.toString(), data: root.toString() })
})

test('a commit that says something else than its tree is refused', async () => {
  const { fields, blocks, key, known, before } = await referenceCommit()
  const [create, update, ...deletes] = fields.ops
  const refused = async (what, changed, pattern) => {
    await assert.rejects(checkCommit(await frame({ ...fields, ...changed }, blocks), key, known), pattern, what)
  }
  await refused('a create left out', { ops: [update, ...deletes] }, /inversion|nothing refers/)
  await refused('a delete left out', { ops: [create, update, deletes[0]] }, /inversion/)
  await refused('a create as an update', { ops: [{ ...create, prev: before.get('rec7') }, update, ...deletes] }, /create of/)
  await refused('another prev', { ops: [create, { ...update, prev: before.get('rec33') }, ...deletes] }, /inversion/)
  await refused('a create without its record', { ops: [{ ...create, cid: before.get('rec7') }, update, ...deletes] }, /missing/)
  await refused('a delete of what is there', { ops: [create, { ...deletes[0], path: update.path }] }, /something else/)
  await refused('the same path twice', { ops: [...fields.ops, create] }, /twice/)
  await refused('another tree before', { prevData: fields.commit }, /prevData/)
  await refused('no tree before', { prevData: undefined }, /prevData/)
  await refused('another revision before', { since: '3jzfcijpj2z2a' }, /since/)
  await refused('another revision', { rev: '3jzfcijpj2z2a' }, /3jzfcijpj2z2a/)
  await refused('another account', { repo: 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb' }, /did:plc/)
  await refused('too big', { tooBig: true }, /true/)
  const other = await Secp256k1Keypair.create()
  await assert.rejects(checkCommit(await frame(fields, blocks), other.did(), known), /not signed/)
})

test('a commit without a block that others need, or with one that nobody needs, is refused', async () => {
  const { fields, blocks, tree, key, known } = await referenceCommit()
  const needed = new CidSet([fields.commit])
  for (const { path, cid } of fields.ops) {
    for (const node of await tree.cidsForPath(path)) needed.add(node)
    if (cid) needed.add(cid)
  }
  // Beside these, the library sends neighbours, some of which a commit can do without.
  for (const cid of needed.toList()) {
    const without = new BlockMap(blocks)
    without.delete(cid)
    await assert.rejects(checkCommit(await frame(fields, without), key, known), `without ${cid}`)
  }
  const more = new BlockMap(blocks)
  await more.add({ stray: true })
  await assert.rejects(checkCommit(await frame(fields, more), key, known), /nothing refers to/)
})

test('a sync that is not the current commit alone is refused', async () => {
  const { fields, blocks, key } = await referenceCommit()
  const alone = new BlockMap()
  alone.set(fields.commit, blocks.get(fields.commit))
  const current = { rev: fields.rev, head: fields.commit.toString() }
  const sync = async (given) => ({ did: DID, rev: fields.rev, blocks: (await frame(fields, given)).blocks })
  await checkSync(await sync(alone), key, current)
  await assert.rejects(checkSync(await sync(blocks), key, current))
  await assert.rejects(checkSync(await sync(alone), key, { ...current, rev: '3jzfcijpj2z2a' }))
})

test('a frame that is not canonical is refused', () => {
  const header = encode({ op: 1, t: '#info' })
  readFrame(Buffer.concat([header, encode({ name: 'x' })]))
  // A map whose keys are in another order, and a number that is longer than it needs to be.
  for (const body of ['a2616201616101', 'a161611801']) {
    assert.throws(() => readFrame(Buffer.concat([header, Buffer.from(body, 'hex')])), body)
  }
  assert.throws(() => readFrame(Buffer.concat([header, encode({}), encode({})])))
})

for (const alg of ALGORITHMS) {
  test(`the client signs tokens, proofs and terms that jose and node verify (${alg})`, async () => {
    const origin = 'http://127.0.0.1:2583'
    const agent = await WelcomeMatAgent.create(origin, { alg })
    assert.equal(await calculateJwkThumbprint(agent.jwk), agent.thumbprint)
    assert.equal(agent.jwk.d, undefined, 'no private part')
    if (alg === 'RS256') assert.equal(Buffer.from(agent.jwk.n, 'base64url').length, 512)

    const terms = randomBytes(100)
    const key = await importJWK(agent.jwk, alg)
    const token = await agent.accessToken(terms)
    const access = await jwtVerify(token, key, { typ: 'wm+jwt', audience: origin, algorithms: [alg] })
    assert.equal(access.payload.tos_hash, sha256url(terms))
    assert.equal(access.payload.cnf.jkt, agent.thumbprint)

    const proof = await agent.proof('POST', `${origin}/xrpc/a.b.c?x=1#f`, { token })
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: [alg] })
    assert.deepEqual(protectedHeader.jwk, agent.jwk)
    assert.equal(payload.htm, 'POST')
    assert.equal(payload.htu, `${origin}/xrpc/a.b.c`)
    assert.equal(payload.ath, sha256url(token))
    const enrollment = await jwtVerify(await agent.proof('POST', `${origin}/api/signup`), EmbeddedJWK)
    assert.equal(enrollment.payload.ath, undefined)

    const signature = Buffer.from(await agent.signBytes(terms), 'base64url')
    const publicKey = { key: agent.jwk, format: 'jwk', dsaEncoding: 'ieee-p1363' }
    assert.ok(verifyBytes(alg === 'EdDSA' ? null : 'sha256', terms, publicKey, signature))
  })
}

test('the thumbprint of the RFC 7638 example is what the RFC says', async () => {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs' +
    'tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n' +
    '91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
  assert.equal(await calculateJwkThumbprint({ kty: 'RSA', e: 'AQAB', n }), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
})
