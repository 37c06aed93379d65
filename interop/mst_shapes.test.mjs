// Random batches of writes whose keys have chosen heights in the tree, so that layers appear, vanish and merge. After each
// batch the root must be the one that a rebuild from the content gives. The reference PDS fails this when a batch empties
// the tree and then creates a key of lower height.
//
// ROOKERY_SEED repeats a run; ROOKERY_SHAPES sets the number of random batches.

import assert from 'node:assert/strict'
import { createHash, randomInt } from 'node:crypto'
import { test } from 'node:test'
import { generator } from './random.mjs'
import { rookeryUrl } from './servers.mjs'
import { cidOfJson, rebuildWithAtcute, verifyAccount } from './verify.mjs'
import { WelcomeMatAgent, freshHandle } from './wm.mjs'

const origin = rookeryUrl()
const seed = Number(process.env.ROOKERY_SEED ?? randomInt(2 ** 31))
const batches = Number(process.env.ROOKERY_SHAPES ?? 200)
const collection = 'com.example.shape'

/** The layer a key sits on: leading zero bits of its hash, in pairs. */
function height(key) {
  const digest = createHash('sha256').update(key).digest()
  let zeros = 0
  for (const byte of digest) {
    zeros += Math.clz32(byte) - 24
    if (byte !== 0) break
  }
  return zeros >> 1
}

/** Record keys by height: `keys[h]` has `perHeight` of them. */
function keysByHeight(heights, perHeight) {
  const keys = Array.from({ length: heights }, () => [])
  for (let n = 0; keys.some((list) => list.length < perHeight); n += 1) {
    const rkey = `s${n.toString(36)}`
    const list = keys[height(`${collection}/${rkey}`)]
    if (list && list.length < perHeight) list.push(rkey)
  }
  return keys
}

const keys = keysByHeight(7, 8)

/** An account, and what its repository must hold: rkey to CID. */
async function newAccount() {
  const agent = await (await WelcomeMatAgent.create(origin)).enroll(freshHandle('shape'))
  return { agent, content: new Map() }
}

/** Writes one batch, given as `[rkey, n]` with n null for a delete, and checks the tree. */
async function write({ agent, content }, changes) {
  const writes = []
  for (const [rkey, n] of changes) {
    const action = n === null ? 'delete' : content.has(rkey) ? 'update' : 'create'
    const value = { $type: collection, n }
    writes.push({ $type: `com.atproto.repo.applyWrites#${action}`, collection, rkey, ...(n === null ? {} : { value }) })
    if (n === null) content.delete(rkey)
    else content.set(rkey, await cidOfJson(value))
  }
  const answer = await agent.procedure('com.atproto.repo.applyWrites', { repo: agent.did, writes })
  assert.equal(answer.status, 200, answer.text)
  const { root, records } = await verifyAccount(origin, agent.did)
  const expected = new Map([...content].map(([rkey, cid]) => [`${collection}/${rkey}`, cid]))
  assert.deepEqual(new Map([...records].map(([path, { cid }]) => [path, cid]).sort()), new Map([...expected].sort()))
  assert.equal(root, await rebuildWithAtcute(expected))
}

test('the tree stays canonical when a batch empties it and starts lower', async () => {
  for (const high of [1, 2, 4, 6]) {
    for (let low = 0; low < high; low += 1) {
      const account = await newAccount()
      const [a, b] = keys[high]
      await write(account, [[a, 1], [b, 1], [keys[high - 1][0], 1]])
      await write(account, [[a, null], [b, null], [keys[high - 1][0], null], [keys[low][1], 2]])
      await write(account, [[keys[low][1], null]])
      await write(account, [[a, 3]])
    }
  }
})

test('a single key of each height makes a tree of that height, and goes without a trace', async () => {
  const account = await newAccount()
  for (const [rkey] of keys) {
    await write(account, [[rkey, 1]])
    await write(account, [[rkey, 2]])
    await write(account, [[rkey, null]])
  }
})

test('removing the only high key merges what it divided', async () => {
  const account = await newAccount()
  const low = [...keys[0], ...keys[1]]
  await write(account, [...low.map((rkey) => [rkey, 1]), [keys[6][0], 1]])
  await write(account, [[keys[6][0], null]])
  await write(account, [[keys[4][0], 1], [keys[5][1], 1]])
  await write(account, [[keys[5][1], null], ...keys[1].map((rkey) => [rkey, null])])
})

test(`${batches} random batches (ROOKERY_SEED=${seed})`, async () => {
  const random = generator(seed)
  let account = await newAccount()
  for (let batch = 0; batch < batches; batch += 1) {
    if (batch % 50 === 49) account = await newAccount()
    try {
      await write(account, randomBatch(random, account.content, batch))
    } catch (error) {
      error.message = `ROOKERY_SEED=${seed}, batch ${batch}: ${error.message}`
      throw error
    }
  }
})

/** Different keys, mostly few, of heights that differ from batch to batch; one batch in eight empties the tree first. */
function randomBatch(random, content, n) {
  const highest = 1 + random(keys.length)
  const count = 1 + random(random(4) === 0 ? 30 : 6)
  const batch = new Map()
  if (random(8) === 0) for (const rkey of content.keys()) batch.set(rkey, null)
  for (let i = 0; i < count; i += 1) {
    const list = keys[random(highest)]
    const rkey = list[random(list.length)]
    if (batch.has(rkey)) continue
    batch.set(rkey, content.has(rkey) && random(3) > 0 ? null : n)
  }
  return [...batch]
}
