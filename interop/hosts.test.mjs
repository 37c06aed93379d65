// What is written on one host and exported there is written on the other, by other ways, and exported again: the trees are the
// same, block by block. A repo can so move between the native host and the Worker, and neither makes anything of its own of it.
//
// ROOKERY_SEED repeats a run.

import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { generator } from './random.mjs'
import { startRookery } from './servers.mjs'
import { download, readBlocks, resolve, verifyCar } from './verify.mjs'
import { WelcomeMatAgent, freshHandle } from './wm.mjs'

const seed = Number(process.env.ROOKERY_SEED ?? randomInt(2 ** 31))
const COLLECTIONS = ['com.example.post', 'com.example.postTwo', 'org.example.note']
/** Of any record that the data model has. */
const LINK = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm'

const servers = {}

before(async () => {
  for (const host of ['native', 'workers']) servers[host] = await startRookery({}, host)
})
after(async () => {
  for (const server of Object.values(servers)) await server.stop()
})

for (const [from, to] of [['native', 'workers'], ['workers', 'native']]) {
  describe(`what is exported from ${from} is written to ${to} (ROOKERY_SEED=${seed})`, () => {
    for (const size of [0, 1, 2, 9, 80, 900]) {
      test(`${size} records`, async () => {
        const random = generator(seed + size)
        const one = await newAccount(from)
        for (const batch of inBatches(straight(someRecords(random, size)), () => 200)) await write(one, batch)
        const exported = await read(one)
        assert.equal(exported.records.size, size)

        const other = await newAccount(to)
        const records = [...exported.records].map(([path, { value }]) => [path, value])
        for (const batch of inBatches(withDetours(random, records), () => 1 + random(random(3) === 0 ? 120 : 4))) await write(other, batch)
        const again = await read(other)
        assert.equal(again.root, exported.root, 'another root')
        assert.deepEqual(again.records, exported.records)
        // The commits differ: each is signed, and names its account.
        assert.deepEqual(again.blocks, exported.blocks)
      })
    }
  })
}

async function newAccount(host) {
  const { url } = servers[host]
  return (await WelcomeMatAgent.create(url)).enroll(freshHandle(host))
}

/** The export, verified by two libraries: its root, its records, and the blocks after the commit, in their order. */
async function read({ origin, did }) {
  const car = await download(origin, did)
  const { key } = await resolve(origin, did)
  const { root, records, head } = await verifyCar(car, did, key)
  const [[first], ...blocks] = (await readBlocks(car)).blocks
  assert.equal(first, head)
  return { root, records, blocks }
}

/** Paths and bodies. */
function someRecords(random, size) {
  const bodies = [
    (n) => ({ n, text: 'ünïcode 🦜'.repeat(random(20)) }),
    (n) => ({ n: -n, list: [null, true, { deep: [[]] }], '': 'no name' }),
    (n) => ({ n, link: { $link: LINK }, bytes: { $bytes: 'aGVsbG8' } }),
    () => ({}),
  ]
  return Array.from({ length: size }, (_, n) => {
    const collection = COLLECTIONS[random(COLLECTIONS.length)]
    return [`${collection}/${n.toString(36)}-${random(2 ** 31).toString(36)}`, { $type: collection, ...bodies[random(bodies.length)](n) }]
  })
}

/** Each is created, in order. A change is `{path, action, value}`. */
const straight = (records) => records.map(([path, value]) => ({ path, action: 'create', value }))

/** Arrives at the same records in an order of its own: some had another body, or were gone for a while; and others came and went. */
function withDetours(random, records) {
  const passing = ([path, value]) => [`${path}.gone`, value]
  const lives = [
    ...records.map(([path, value]) => {
      const other = { path, action: 'create', value: { ...value, draft: random(100) } }
      const drafts = [[], [other], [other, { path, action: 'delete' }]][random(3)]
      return [...drafts, { path, action: drafts.length === 1 ? 'update' : 'create', value }]
    }),
    ...records.map(passing).map(([path, value]) => [{ path, action: 'create', value }, { path, action: 'delete' }]),
  ]
  const changes = []
  while (lives.length > 0) {
    const at = random(lives.length)
    changes.push(lives[at].shift())
    if (lives[at].length === 0) lives.splice(at, 1)
  }
  return changes
}

/** Cuts changes into commits, each of which has a path once. */
function inBatches(changes, nextSize) {
  const batches = []
  let paths
  let room = 0
  for (const change of changes) {
    if (room === 0 || paths.has(change.path)) {
      batches.push([])
      paths = new Set()
      room = nextSize()
    }
    batches.at(-1).push(change)
    paths.add(change.path)
    room -= 1
  }
  return batches
}

/** One commit: by `applyWrites`, or, when there is one change, by the procedure for it. */
async function write(agent, batch) {
  const writes = batch.map(({ path, action, value }) => {
    const [collection, rkey] = path.split('/')
    return { $type: `com.atproto.repo.applyWrites#${action}`, collection, rkey, ...(value && { value }) }
  })
  const [name, input] = writes.length === 1 ? single(batch[0].action, writes[0]) : ['applyWrites', { writes }]
  const answer = await agent.procedure(`com.atproto.repo.${name}`, { repo: agent.did, ...input })
  assert.equal(answer.status, 200, answer.text)
}

const single = (action, { collection, rkey, value: record }) => {
  const name = { create: 'createRecord', update: 'putRecord', delete: 'deleteRecord' }[action]
  return [name, { collection, rkey, ...(record && { record }) }]
}
