// Many agents write at once; three clients follow the firehose. What each received is complete, in order and proven, and is
// the same live, from the beginning, and from any cursor. The server is the tests' own, so that the whole of its log is known.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { FirehoseError } from '@atcute/firehose'
import { StreamChecker, followFrames, followWithAtcute, followWithAtproto, frameOf, readFrame } from './firehose.mjs'
import { startRookery } from './servers.mjs'
import { cidOfJson, resolve, verifyAccount } from './verify.mjs'
import { WelcomeMatAgent, freshHandle } from './wm.mjs'

const POST = 'com.example.post'
const NOTE = 'org.example-two.notes.note'
const AGENTS = 55
/** Those that also write batches of 200. */
const BATCHES = 6

let server
/** Every client that was live from before the first agent on. */
let live
/** What was acknowledged: by DID, the commits with their operations, in order. */
const acknowledged = new Map()

before(async () => {
  server = await startRookery()
  live = { raw: await followFrames(server.url), atcute: await followWithAtcute(server.url), atproto: followWithAtproto(server.url) }
  // The third one does not tell when it is connected.
  for (let seen = false; !seen; ) {
    const { did } = await enroll()
    const isThere = (events) => events.some((event) => event.did === did)
    seen = await live.atproto.events.until(isThere, 'a first event', 500).then(() => true, () => false)
  }
  const agents = await Promise.all(Array.from({ length: AGENTS }, enroll))
  await Promise.all(agents.map((agent, n) => (n < BATCHES ? writeBatches(agent) : writeOneByOne(agent, n))))
  await arrived(live)
})

after(async () => {
  for (const client of Object.values(live ?? {})) await client.stop()
  await server?.stop()
})

async function enroll() {
  const agent = await (await WelcomeMatAgent.create(server.url)).enroll(freshHandle())
  acknowledged.set(agent.did, [])
  return agent
}

/** Everything before a new account's `#sync` has arrived when that has. */
async function arrived({ raw, atcute, atproto }) {
  const { did } = await enroll()
  await raw.frames.until((frames) => is(frames.at(-1), '#sync', did), 'the last frame')
  await atcute?.messages.until((messages) => messages.at(-1)?.$type.endsWith('#sync') && messages.at(-1).did === did, 'the last message')
  await atproto?.events.until((events) => events.at(-1)?.event === 'sync' && events.at(-1).did === did, 'the last event')
}

function is(frame, type, did) {
  if (!frame) return false
  const { header, body } = readFrame(frame)
  return header.t === type && body.did === did
}

/** Calls a procedure that commits, and notes what it did. Operations of a commit are compared by path. */
async function write(agent, nsid, input, ops) {
  const { status, body, text } = await agent.procedure(`com.atproto.repo.${nsid}`, { repo: agent.did, ...input })
  assert.equal(status, 200, text)
  if (ops.length === 0) return assert.equal(body.commit, undefined, 'nothing changed, so nothing is committed')
  acknowledged.get(agent.did).push({ rev: body.commit.rev, commit: body.commit.cid, ops: byPath(ops) })
}

const byPath = (ops) => ops.toSorted((a, b) => (a[1] < b[1] ? -1 : 1))

async function writeOneByOne(agent, n) {
  const put = async (action, rkey, fields, collection = POST) => {
    const record = { $type: collection, ...fields }
    const op = action && [action, `${collection}/${rkey}`, await cidOfJson(record)]
    await write(agent, action === 'create' ? 'createRecord' : 'putRecord', { collection, rkey, record }, op ? [op] : [])
  }
  const remove = (rkey, there = true) =>
    write(agent, 'deleteRecord', { collection: POST, rkey }, there ? [['delete', `${POST}/${rkey}`, null]] : [])
  await put('create', 'a', { n })
  await put('create', 'b', { n, text: 'ünïcode 🦜', list: [1, [null, true]], link: { $link: await cidOfJson({ n }) } })
  await put('update', 'a', { n, again: true })
  await put(null, 'a', { n, again: true })
  for (let more = 0; more < n % 12; more += 1) await put('create', `m${more}`, { bytes: { $bytes: 'aGVsbG8' }, more }, NOTE)
  await remove('a')
  await remove('a', false)
  await put('create', 'a', { n, anew: true })
  await remove('b')
  await remove('a')
}

/** 200 creates; a mixture; and all gone again. */
async function writeBatches(agent) {
  const records = new Map()
  const batch = async (changes) => {
    const writes = []
    const ops = []
    for (const [rkey, value] of changes) {
      const action = value === null ? 'delete' : records.has(rkey) ? 'update' : 'create'
      const record = { $type: POST, value }
      const type = `com.atproto.repo.applyWrites#${action}`
      writes.push({ $type: type, collection: POST, rkey, ...(value === null ? {} : { value: record }) })
      ops.push([action, `${POST}/${rkey}`, value === null ? null : await cidOfJson(record)])
      if (value === null) records.delete(rkey)
      else records.set(rkey, value)
    }
    await write(agent, 'applyWrites', { writes }, ops)
  }
  const rkeys = Array.from({ length: 600 }, (_, n) => `r${(n * 7919) % 600}`)
  for (let from = 0; from < 600; from += 200) await batch(rkeys.slice(from, from + 200).map((rkey, n) => [rkey, n]))
  for (let from = 0; from < 600; from += 200) {
    await batch(rkeys.slice(from, from + 200).map((rkey, n) => [n % 4 === 0 ? `new${from}-${n}` : rkey, n % 4 === 1 ? null : -n]))
  }
  const all = [...records.keys()]
  for (let from = 0; from < all.length; from += 200) await batch(all.slice(from, from + 200).map((rkey) => [rkey, null]))
  await batch([['last', 1]])
}

test('every frame is proven by two libraries and continues its repo', async () => {
  const keys = new Map()
  const checker = new StreamChecker(async (did) => {
    if (!keys.has(did)) keys.set(did, (await resolve(server.url, did)).key)
    return keys.get(did)
  })
  for (const frame of live.raw.frames.items) await checker.take(frame)

  assert.deepEqual([...checker.repos.keys()].sort(), [...acknowledged.keys()].sort())
  for (const [did, { commits, events, head, rev, records }] of checker.repos) {
    // The first commit is that of the empty repo.
    assert.deepEqual(commits[0].ops, [])
    assert.deepEqual(commits.slice(1).map((commit) => ({ ...commit, ops: byPath(commit.ops) })), acknowledged.get(did))
    assert.equal(events.length, 3 + commits.length, 'nothing but the four first events and commits')
    const exported = await verifyAccount(server.url, did)
    assert.deepEqual([exported.head, exported.rev], [head, rev])
    const found = new Map([...exported.records].map(([path, { cid }]) => [path, cid]))
    assert.deepEqual(new Map([...records].sort()), new Map([...found].sort()))
  }
})

test('@atproto/sync authenticates every operation, once and in order', async () => {
  const { events, errors } = live.atproto
  assert.deepEqual(errors.items, [])
  const seen = new Map()
  let last = 0
  for (const event of events.items) {
    assert.ok(event.seq >= last, `seq ${event.seq} after ${last}`)
    last = event.seq
    if (!seen.has(event.did)) seen.set(event.did, [])
    if (['create', 'update', 'delete'].includes(event.event)) {
      const { rev, collection, rkey, cid } = event
      seen.get(event.did).push([rev, event.event, `${collection}/${rkey}`, cid?.toString() ?? null])
      if (cid) assert.equal(event.record.$type, collection)
    }
  }
  for (const [did, commits] of acknowledged) {
    // Agents that were enrolled before it was connected wrote nothing.
    const expected = commits.flatMap(({ rev, ops }) => ops.map((op) => [rev, ...op]))
    const sorted = byRevAndPath(seen.get(did) ?? [])
    assert.deepEqual(sorted, byRevAndPath(expected), did)
  }
})

/** Stable for what has one revision, so that order between commits counts. */
function byRevAndPath(ops) {
  assert.deepEqual(ops.map(([rev]) => rev), ops.map(([rev]) => rev).toSorted(), 'revisions out of order')
  return ops.toSorted((a, b) => (a[0] === b[0] ? (a[2] < b[2] ? -1 : 1) : a[0] < b[0] ? -1 : 1))
}

test('@atcute/firehose reads the same frames, each of which fits its lexicon', () => {
  const { messages, errors } = live.atcute
  assert.deepEqual(errors.items, [])
  assertSame(messages.items.map(frameOf), live.raw.frames.items)
})

test('from cursor 0 comes what came live, byte for byte, to all clients', async () => {
  const again = { raw: await followFrames(server.url, 0), atcute: await followWithAtcute(server.url, 0), atproto: followWithAtproto(server.url, 0) }
  await arrived({ raw: live.raw })
  const count = live.raw.frames.items.length
  await again.raw.frames.until((frames) => frames.length >= count, 'the last frame')
  await again.atcute.messages.until((messages) => messages.length >= count, 'the last message')
  const last = readFrame(live.raw.frames.items.at(-1)).body.seq
  await again.atproto.events.until((events) => events.at(-1)?.seq >= last, 'the last event')
  for (const client of Object.values(again)) await client.stop()

  assertSame(again.raw.frames.items, live.raw.frames.items)
  assertSame(again.atcute.messages.items.map(frameOf), live.raw.frames.items)
  assert.deepEqual([again.atcute.errors.items, again.atproto.errors.items], [[], []])
  // Live it may have missed the first events, while it was connecting.
  const [replayed, seenLive] = [again.atproto, live.atproto].map(({ events }) => events.items.map(summary))
  const from = replayed.findIndex((event) => event === seenLive[0])
  assert.deepEqual(replayed.slice(from), seenLive)
})

const summary = ({ seq, event, did, collection, rkey, cid }) => [seq, event, did, collection, rkey, cid?.toString()].join(' ')

test('who comes back with any cursor misses nothing and gets nothing twice', async () => {
  const frames = live.raw.frames.items
  for (const part of [0, 0.1, 0.37, 0.5, 0.93, 1]) {
    const at = Math.min(Math.floor(frames.length * part), frames.length - 1)
    const { frames: received, stop } = await followFrames(server.url, readFrame(frames[at]).body.seq)
    const expected = frames.length - 1 - at
    await received.until((items) => items.length >= expected, `the rest after frame ${at}`)
    await stop()
    assertSame(received.items, frames.slice(at + 1))
  }
})

test('a cursor from the future is answered with an error and the end', async () => {
  const cursor = readFrame(live.raw.frames.items.at(-1)).body.seq + 1_000_000_000_000
  const raw = await followFrames(server.url, cursor)
  await raw.closed
  const [frame, ...more] = raw.frames.items.map(readFrame)
  assert.deepEqual([frame.header, frame.body.error, more], [{ op: -1 }, 'FutureCursor', []])
  const atcute = await followWithAtcute(server.url, cursor)
  await atcute.errors.until(([error]) => error, 'the error')
  await atcute.stop()
  assert.ok(atcute.errors.items[0] instanceof FirehoseError)
  assert.equal(atcute.errors.items[0].error, 'FutureCursor')
})

test('a cursor from before what is kept is told so, and gets all that is kept', async () => {
  const forgetful = await startRookery({ ROOKERY_EVENT_LIMIT: '10' })
  try {
    const agent = await (await WelcomeMatAgent.create(forgetful.url)).enroll(freshHandle())
    let newest
    for (let n = 0; n < 30; n += 1) {
      const record = { $type: POST, n }
      const { status, body, text } = await agent.procedure('com.atproto.repo.createRecord', { repo: agent.did, collection: POST, record })
      assert.equal(status, 200, text)
      newest = body.commit.rev
    }
    // Old events go in the background, some time after new ones have come: come again until they have.
    let received
    do {
      if (received) await delay(200)
      const { frames, stop } = await followFrames(forgetful.url, 1)
      await frames.until((items) => items.length > 0 && readFrame(items.at(-1)).body.rev === newest, 'the newest')
      await stop()
      received = frames.items.map(readFrame)
    } while (received[0].header.t !== '#info')
    assert.equal(received[0].body.name, 'OutdatedCursor')
    assert.ok(received.length > 1 && received.length < 30, `${received.length} frames`)
    const revs = received.slice(1).map(({ body }) => body.rev)
    assert.deepEqual(received.slice(2).map(({ body }) => body.since), revs.slice(0, -1), 'a gap among those that are kept')
  } finally {
    await forgetful.stop()
  }
})

/** Two lists of bytes; says where they part, not all of what they are. */
function assertSame(found, expected) {
  const at = expected.findIndex((frame, n) => !found[n] || !Buffer.from(frame).equals(found[n]))
  assert.equal(at, -1, `frame ${at} of ${expected.length} is not the same`)
  assert.equal(found.length, expected.length)
}
