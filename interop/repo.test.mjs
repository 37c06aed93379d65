// What is written through the API is what two independent libraries find in the exported repository, signed by the key
// in the DID document that the directory serves, and in the one shape a Merkle search tree of that content can have.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { P256PublicKey, Secp256k1PublicKey, parseDidKey } from '@atcute/crypto'
import { verifyRecord } from '@atcute/repo'
import { rookeryUrl } from './servers.mjs'
import { cidOfJson, download, resolve, verifyAccount } from './verify.mjs'
import { ALGORITHMS, WelcomeMatAgent, freshHandle } from './wm.mjs'

const origin = rookeryUrl()
const POST = 'com.example.post'
const NOTE = 'org.example-two.notes.note'

const enroll = async (alg = 'EdDSA') => (await WelcomeMatAgent.create(origin, { alg })).enroll(freshHandle())

/** Values that touch every kind of the data model. */
const VARIED = [
  { text: 'plain' },
  { text: 'ünïcode 🦜 \u0000 \u2028 "quoted" \\ slash/' },
  { empty: {}, list: [], nothing: null, yes: true, no: false },
  { big: Number.MAX_SAFE_INTEGER, small: Number.MIN_SAFE_INTEGER, zero: 0, minus: -1, byte: 255, word: 65536 },
  { bytes: { $bytes: 'aGVsbG8gd29ybGQ' }, none: { $bytes: '' } },
  { link: { $link: 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm' } },
  { raw: { $link: 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku' } },
  { z: 1, a: 2, aa: 3, b: { y: [1, [2, [3, { deep: true }]]] } },
  { long: 'x'.repeat(70_000) },
  { 'key with spaces': 'and "quotes"', createdAt: '2026-01-02T03:04:05.678Z' },
]

/** Asks for each record of the account by every route, and compares it with what the verified export holds. */
async function assertReadsMatch(agent, verified) {
  const { body } = await agent.query('com.atproto.sync.getLatestCommit', { did: agent.did })
  assert.deepEqual(body, { cid: verified.head, rev: verified.rev })
  const collections = [...new Set([...verified.records.keys()].map((path) => path.split('/')[0]))].sort()
  const described = await agent.query('com.atproto.repo.describeRepo', { repo: agent.did })
  assert.deepEqual([...described.body.collections].sort(), collections)

  const listed = new Map()
  for (const collection of collections) {
    for (const record of await listAll(agent, collection)) listed.set(record.uri.slice(`at://${agent.did}/`.length), record)
  }
  assert.equal(listed.size, verified.records.size)
  for (const [path, { cid, value }] of verified.records) {
    assert.equal(listed.get(path)?.cid, cid, path)
    assert.deepEqual(listed.get(path).value, value, path)
    assert.equal(await cidOfJson(listed.get(path).value), cid, path)
  }
}

/** Pages through a whole collection, with an odd page size. */
async function listAll(agent, collection, more = {}) {
  const records = []
  let cursor
  do {
    const page = { repo: agent.did, collection, limit: 37, ...(cursor ? { cursor } : {}), ...more }
    const { status, body, text } = await agent.query('com.atproto.repo.listRecords', page)
    assert.equal(status, 200, text)
    records.push(...body.records)
    cursor = body.cursor
  } while (cursor)
  return records
}

async function write(agent, writes) {
  const answer = await agent.procedure('com.atproto.repo.applyWrites', { repo: agent.did, writes })
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.body.results.length, writes.length)
  return answer.body
}

const create = (collection, rkey, value) => ({
  $type: 'com.atproto.repo.applyWrites#create',
  collection,
  rkey,
  value: { $type: collection, ...value },
})
const update = (...args) => ({ ...create(...args), $type: 'com.atproto.repo.applyWrites#update' })
const remove = (collection, rkey) => ({ $type: 'com.atproto.repo.applyWrites#delete', collection, rkey })

for (const alg of ALGORITHMS) {
  test(`an agent with an ${alg} key enrolls, and its first repository verifies`, async () => {
    const agent = await enroll(alg)
    const { document, pds } = await resolve(origin, agent.did)
    assert.equal(document.id, agent.did)
    assert.deepEqual(document.alsoKnownAs, [`at://${agent.handle}`])
    assert.equal(new URL(pds).port, new URL(origin).port)
    const { records } = await verifyAccount(origin, agent.did)
    assert.equal(records.size, 0)
  })
}

test('records of every shape come back unchanged and hash to the CID that was promised', async () => {
  const agent = await enroll()
  const promised = new Map()
  for (const fields of VARIED) {
    const record = { $type: POST, ...fields }
    const { status, body, text } = await agent.procedure('com.atproto.repo.createRecord', {
      repo: agent.did,
      collection: POST,
      record,
    })
    assert.equal(status, 200, text)
    assert.equal(body.cid, await cidOfJson(record))
    promised.set(body.uri.slice(`at://${agent.did}/`.length), { cid: body.cid, value: record })
  }
  const verified = await verifyAccount(origin, agent.did)
  assert.deepEqual(new Map([...verified.records].sort()), new Map([...promised].sort()))
  await assertReadsMatch(agent, verified)
})

test('a repository verifies after creates, updates and deletes in several collections', async () => {
  const agent = await enroll()
  const expected = new Map()
  for (let round = 0; round < 6; round += 1) {
    const writes = []
    for (let n = 0; n < 200; n += 1) {
      const collection = n % 3 === 0 ? NOTE : POST
      const rkey = `k${(round * 70 + n) % 700}`
      const path = `${collection}/${rkey}`
      const value = { $type: collection, round, n }
      if (!expected.has(path)) writes.push(create(collection, rkey, value))
      else if ((n + round) % 2 === 0) writes.push(update(collection, rkey, value))
      else writes.push(remove(collection, rkey))
      if (writes.at(-1).value) expected.set(path, await cidOfJson(value))
      else expected.delete(path)
    }
    const { commit } = await write(agent, writes)
    const verified = await verifyAccount(origin, agent.did)
    assert.deepEqual({ cid: verified.head, rev: verified.rev }, commit)
    const found = new Map([...verified.records].map(([path, { cid }]) => [path, cid]))
    assert.deepEqual(new Map([...found].sort()), new Map([...expected].sort()))
  }
  await assertReadsMatch(agent, await verifyAccount(origin, agent.did))
})

test('a batch of 200 creates, and then 200 deletes, leaves the empty tree', async () => {
  const agent = await enroll()
  const writes = Array.from({ length: 200 }, (_, n) => create(POST, `r${n}`, { n }))
  await write(agent, writes)
  assert.equal((await verifyAccount(origin, agent.did)).records.size, 200)
  await write(agent, writes.map(({ rkey }) => remove(POST, rkey)))
  const { root, records } = await verifyAccount(origin, agent.did)
  assert.equal(records.size, 0)
  assert.equal(root, 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm')
})

test('records with the same content share a block, and deleting one keeps the other', async () => {
  const agent = await enroll()
  await write(agent, [create(POST, 'one', { same: true }), create(POST, 'two', { same: true })])
  await write(agent, [remove(POST, 'one')])
  const { records } = await verifyAccount(origin, agent.did)
  assert.deepEqual([...records.keys()], [`${POST}/two`])
})

test('record keys of every allowed kind survive the round trip', async () => {
  const agent = await enroll()
  const rkeys = ['self', 'a', '-', '_', '~', '3jzfcijpj2z2a', 'example.com', 'pre:fix', '~1.2-3_', 'K'.repeat(512), ':', '...']
  await write(agent, rkeys.map((rkey) => create(POST, rkey, { rkey })))
  const verified = await verifyAccount(origin, agent.did)
  assert.deepEqual([...verified.records.keys()].sort(), rkeys.map((rkey) => `${POST}/${rkey}`).sort())
  for (const rkey of rkeys) {
    const { status, body, text } = await agent.query('com.atproto.repo.getRecord', { repo: agent.handle, collection: POST, rkey })
    assert.equal(status, 200, text)
    assert.equal(body.value.rkey, rkey)
    assert.equal(body.cid, verified.records.get(`${POST}/${rkey}`).cid)
  }
})

test('a single record is proven by the export alone', async () => {
  const agent = await enroll()
  await write(agent, Array.from({ length: 50 }, (_, n) => create(POST, `p${n}`, { n })))
  const { type, publicKeyBytes } = parseDidKey((await resolve(origin, agent.did)).key)
  const Key = type === 'p256' ? P256PublicKey : Secp256k1PublicKey
  const publicKey = await Key.importRaw(publicKeyBytes)
  const carBytes = await download(origin, agent.did)
  const proven = await verifyRecord({ did: agent.did, collection: POST, rkey: 'p7', publicKey, carBytes })
  assert.equal(proven.record.n, 7)
})

test('revisions only go up', async () => {
  const agent = await enroll()
  let last = (await agent.query('com.atproto.sync.getLatestCommit', { did: agent.did })).body.rev
  for (let n = 0; n < 30; n += 1) {
    const { commit } = await write(agent, [(n === 0 ? create : update)(POST, 'same', { n })])
    assert.ok(commit.rev > last, `${commit.rev} after ${last}`)
    last = commit.rev
  }
})

test('thirty agents that enroll and write at once all end with a repository that verifies', async () => {
  const agents = await Promise.all(Array.from({ length: 30 }, () => enroll()))
  assert.equal(new Set(agents.map(({ did }) => did)).size, 30)
  await Promise.all(
    agents.map(async (agent) => {
      const creates = Array.from({ length: 10 }, (_, n) =>
        agent.procedure('com.atproto.repo.createRecord', { repo: agent.did, collection: POST, record: { $type: POST, n } }),
      )
      for (const { status, text } of await Promise.all(creates)) assert.equal(status, 200, text)
    }),
  )
  for (const agent of agents) {
    const verified = await verifyAccount(origin, agent.did)
    const seen = [...verified.records.values()].map(({ value }) => value.n).sort((a, b) => a - b)
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  }
})

test('a handle resolves to its account whatever the case', async () => {
  const agent = await enroll()
  const { body } = await agent.query('com.atproto.identity.resolveHandle', { handle: agent.handle.toUpperCase() })
  assert.deepEqual(body, { did: agent.did })
})
