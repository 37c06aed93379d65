// The tools are tested before they are trusted: the verifiers must pass what the reference library makes and refuse what
// has been tampered with, and the WelcomeMat client must make what the specification says. Needs no server.

import assert from 'node:assert/strict'
import { randomBytes, verify as verifyBytes } from 'node:crypto'
import { test } from 'node:test'
import { Secp256k1Keypair } from '@atproto/crypto'
import { parseCid } from '@atproto/lex-data'
import {
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
