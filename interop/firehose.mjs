// Follows `com.atproto.sync.subscribeRepos` with three clients, and checks everything that comes with two verifiers.
//
// Clients: a bare WebSocket, which keeps the bytes of each frame; `@atproto/sync`, the reference's own, which authenticates
// each record operation; `@atcute/firehose`, written apart from it. Verifiers: `@atproto/repo` and `@atcute/mst`, each of which
// undoes the operations of a commit on the nodes that came with it and must arrive at the tree before it.

import assert from 'node:assert/strict'
import { ComAtprotoSyncSubscribeRepos } from '@atcute/atproto'
import { decode, decodeFirst, encode, fromBytes } from '@atcute/cbor'
import { verifySigWithDidKey } from '@atcute/crypto'
import { FirehoseSubscription } from '@atcute/firehose'
import { MSTNode, MemoryBlockStore, NodeStore, NodeWalker, NodeWrangler } from '@atcute/mst'
import { isCommit } from '@atcute/repo'
import { IdResolver, MemoryCache } from '@atproto/identity'
import { decodeAll, encode as lexEncode } from '@atproto/lex-cbor'
import { parseCid } from '@atproto/lex-data'
import { MST, MemoryBlockstore, def, readCarWithRoot, verifyCommitSig } from '@atproto/repo'
import { Firehose } from '@atproto/sync'
import { readBlocks } from './verify.mjs'

const NSID = 'com.atproto.sync.subscribeRepos'
const SILENCE = 120_000

const socketUrl = (origin) => origin.replace(/^http/, 'ws')

/** What a client has received, in order. */
class Received {
  items = []
  #waiting = new Set()

  push(item) {
    this.items.push(item)
    for (const check of this.#waiting) check()
  }

  /** Waits until `holds(items)`. */
  async until(holds, what, patience = SILENCE) {
    if (holds(this.items)) return
    await new Promise((resolve, reject) => {
      const end = (finish, value) => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        finish(value)
      }
      const check = () => holds(this.items) && end(resolve)
      const timer = setTimeout(() => end(reject, new Error(`${what} did not come after ${this.items.length} items`)), patience)
      this.#waiting.add(check)
    })
  }
}

/** Keeps the bytes of each frame. Resolves once connected. */
export async function followFrames(origin, cursor) {
  const query = cursor === undefined ? '' : `?cursor=${cursor}`
  const socket = new WebSocket(`${socketUrl(origin)}/xrpc/${NSID}${query}`)
  socket.binaryType = 'arraybuffer'
  const frames = new Received()
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve))
  socket.addEventListener('message', ({ data }) => frames.push(new Uint8Array(data)))
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error(`no connection with cursor ${cursor}`)))
  })
  const stop = () => {
    socket.close()
    return closed
  }
  return { frames, closed, stop }
}

/** Keeps what `@atcute/firehose` makes of each frame; it also checks it against its lexicon. Resolves once connected. */
export async function followWithAtcute(origin, cursor) {
  const messages = new Received()
  const errors = new Received()
  const opened = Promise.withResolvers()
  const subscription = new FirehoseSubscription({
    service: socketUrl(origin),
    nsid: ComAtprotoSyncSubscribeRepos.mainSchema,
    params: { cursor },
    validateEvents: true,
    onConnectionOpen: opened.resolve,
    onConnectionError: (event) => errors.push(event),
    onError: (error) => errors.push(error),
    ws: { maxRetries: 0 },
  })
  const events = subscription[Symbol.asyncIterator]()
  const read = async () => {
    for await (const message of events) messages.push(message)
  }
  // Never ends: whoever waits for the next message when it is stopped waits for ever.
  read()
  await opened.promise
  return { messages, errors, stop: () => events.return() }
}

/** Keeps the events of `@atproto/sync`: one for each operation, each proven against the DID's key. */
export function followWithAtproto(origin, cursor, plcUrl = origin) {
  const events = new Received()
  const errors = new Received()
  const firehose = new Firehose({
    service: socketUrl(origin),
    idResolver: new IdResolver({ plcUrl, timeout: SILENCE, fetch: globalThis.fetch, didCache: new MemoryCache() }),
    unauthenticatedCommits: false,
    // A handle of a loopback server resolves nowhere else.
    unauthenticatedHandles: true,
    getCursor: () => cursor,
    handleEvent: (event) => events.push(event),
    // As text: the error holds the whole event.
    onError: (error) => errors.push(`${error}: ${error.cause}`),
  })
  firehose.start()
  return { events, errors, stop: () => firehose.destroy() }
}

/** Header and body of a frame, by `@atcute/cbor`. `@atproto/lex-cbor` must read the same, and both write the same bytes again. */
export function readFrame(frame) {
  const [header, rest] = decodeFirst(frame)
  const body = decode(rest)
  const lex = [...decodeAll(frame)]
  assert.equal(lex.length, 2, 'a frame is a header and a body')
  assert.deepEqual(Buffer.concat([encode(header), encode(body)]), Buffer.from(frame), 'not canonical (@atcute/cbor)')
  assert.deepEqual(Buffer.concat(lex.map((part) => lexEncode(part))), Buffer.from(frame), 'not canonical (@atproto/lex-cbor)')
  return { header, body }
}

/** What a frame must have been for `@atcute/firehose` to make this message of it. */
export function frameOf({ $type, ...body }) {
  return Buffer.concat([encode({ op: 1, t: $type.slice(NSID.length) }), encode(body)])
}

/**
 * Takes in every event of a server from its first on, and holds each against all that came before: order, the chain of
 * each repo, signatures, proofs. `keyOf` answers a DID's signing key.
 */
export class StreamChecker {
  #seq = 0
  #keyOf
  /** What is known of each DID: `{events, head, rev, data, records, commits}`. */
  repos = new Map()

  constructor(keyOf) {
    this.#keyOf = keyOf
  }

  async take(frame) {
    const { header, body } = readFrame(frame)
    assert.equal(header.op, 1, JSON.stringify(body))
    assert.ok(body.seq > this.#seq, `seq ${body.seq} after ${this.#seq}`)
    assert.ok(Math.abs(Date.now() - Date.parse(body.time)) < 3_600_000, body.time)
    this.#seq = body.seq
    const did = body.repo ?? body.did
    if (!this.repos.has(did)) this.repos.set(did, { events: [], records: new Map(), commits: [] })
    const repo = this.repos.get(did)
    repo.events.push(header.t)
    // What tells of a new account comes first and in this order.
    const first = ['#identity', '#account', '#commit', '#sync'][repo.events.length - 1]
    if (first) assert.equal(header.t, first, `event ${repo.events.length} of ${did}`)
    if (header.t === '#account') assert.equal(body.active, true)
    if (header.t === '#commit') await this.#commit(body, repo)
    if (header.t === '#sync') await checkSync(body, await this.#keyOf(did), repo)
  }

  async #commit(body, repo) {
    const { head, data } = await checkCommit(body, await this.#keyOf(body.repo), repo)
    Object.assign(repo, { head, data, rev: body.rev })
    for (const { action, path, cid, prev } of body.ops) {
      assert.equal(repo.records.get(path), prev?.$link, `${action} of ${path}: prev is not what was there`)
      if (cid) repo.records.set(path, cid.$link)
      else repo.records.delete(path)
    }
    repo.commits.push({ rev: body.rev, commit: body.commit.$link, ops: body.ops.map(describe) })
  }
}

/** An operation in a form to compare. */
const describe = ({ action, path, cid }) => [action, path, cid?.$link ?? null]

/**
 * Checks the body of a `#commit` against what is known of its repo, `{rev, data}`, both undefined before its first one.
 * Answers the commit's CID and the root of its tree.
 */
export async function checkCommit(body, key, { rev, data }) {
  const { head, commit, blocks } = await checkSigned(body.blocks, body.repo, body.rev, key)
  assert.equal(body.commit.$link, head)
  assert.equal(body.since, rev ?? null, 'since is not the revision before')
  assert.equal(body.prevData?.$link, data, 'prevData is not the tree before')
  assert.ok(rev === undefined || body.rev > rev, `${body.rev} after ${rev}`)
  assert.equal(body.tooBig, false)
  assert.equal(body.rebase, false)
  assert.deepEqual(body.blobs, [])
  assert.ok(body.ops.length <= 200 && fromBytes(body.blocks).length <= 2_000_000)
  assert.equal(new Set(body.ops.map(({ path }) => path)).size, body.ops.length, 'a path twice')

  const root = commit.data.$link
  const nodes = new NodeStore(new MemoryBlockStore(blocks))
  for (const op of body.ops) {
    assert.deepEqual([op.cid !== null, op.prev !== undefined], FORMS[op.action], `${op.action} of ${op.path}`)
    if (op.cid) assert.ok(blocks.has(op.cid.$link), `the record ${op.path} is missing`)
    const walker = await NodeWalker.create(nodes, root)
    const found = await walker.findRpath(op.path)
    assert.equal(found?.$link, op.cid?.$link, `the tree says something else of ${op.path}`)
  }
  await assertAllUsed(blocks, head, root, body.ops)
  const before = data ?? (await MSTNode.empty().cid()).$link
  assert.equal(await invertWithAtcute(blocks, root, body.ops), before, 'inversion misses the tree before (@atcute/mst)')
  await invertWithAtproto(fromBytes(body.blocks), key, body.ops, before)
  return { head, data: root }
}

/** Whether an operation has `cid` and `prev`. */
const FORMS = { create: [true, false], update: [true, true], delete: [false, true] }

/** Checks the body of a `#sync`: the repo's current commit, and nothing else. */
export async function checkSync(body, key, { rev, head: known }) {
  const { head, blocks } = await checkSigned(body.blocks, body.did, body.rev, key)
  assert.equal(body.rev, rev)
  assert.equal(head, known)
  assert.equal(blocks.size, 1)
}

/** Reads a CAR whose root is a commit of this account, revision and key. */
async function checkSigned(car, did, rev, key) {
  const { roots, blocks } = await readBlocks(fromBytes(car))
  assert.equal(roots.length, 1)
  const head = roots[0].$link
  assert.ok(blocks.has(head), 'the commit is missing')
  const commit = decode(blocks.get(head))
  assert.ok(isCommit(commit), 'the root is not a commit')
  assert.deepEqual([commit.did, commit.rev, commit.version, commit.prev], [did, rev, 3, null])
  const { sig, ...unsigned } = commit
  assert.ok(await verifySigWithDidKey(key, fromBytes(sig), encode(unsigned)), 'the commit is not signed by the key')
  return { head, commit, blocks }
}

/** Every block is the commit, a node of its tree, or a record of an operation. */
async function assertAllUsed(blocks, head, root, ops) {
  const used = new Set([head, ...ops.map(({ cid }) => cid?.$link)])
  const ahead = [root]
  while (ahead.length > 0) {
    const name = ahead.pop()
    if (!blocks.has(name)) continue
    used.add(name)
    const { l: left, e: entries } = decode(blocks.get(name))
    for (const link of [left, ...entries.map(({ t }) => t)]) if (link) ahead.push(link.$link)
  }
  for (const name of blocks.keys()) assert.ok(used.has(name), `nothing refers to ${name}`)
}

async function invertWithAtcute(blocks, root, ops) {
  const wrangler = new NodeWrangler(new NodeStore(new MemoryBlockStore(new Map(blocks))))
  let at = root
  for (const { path, prev } of ops.toReversed()) {
    at = prev ? await wrangler.putRecord(at, path, prev) : await wrangler.deleteRecord(at, path)
  }
  return at
}

async function invertWithAtproto(car, key, ops, before) {
  const { root, blocks } = await readCarWithRoot(car)
  const storage = new MemoryBlockstore(blocks)
  const commit = await storage.readObj(root, def.commit)
  assert.ok(await verifyCommitSig(commit, key), 'the commit is not signed by the key (@atproto/repo)')
  let tree = MST.load(storage, commit.data)
  for (const { action, path, prev } of ops.toReversed()) {
    if (action === 'create') tree = await tree.delete(path)
    else if (action === 'update') tree = await tree.update(path, parseCid(prev.$link))
    else tree = await tree.add(path, parseCid(prev.$link))
  }
  const found = (await tree.getPointer()).toString()
  assert.equal(found, before, 'inversion misses the tree before (@atproto/repo)')
}
