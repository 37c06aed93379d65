// The official client reads and writes. It checks every answer against the lexicons, so a field that is missing or of the
// wrong type fails the call.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { Agent, AtpAgent, XRPCError } from '@atproto/api'
import { rookeryUrl } from './servers.mjs'
import { WelcomeMatAgent, freshHandle, query } from './wm.mjs'

const origin = rookeryUrl()
const collection = 'com.example.post'
/** A CID of nothing on this server. */
const STRANGER = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm'

let mat, agent, repo
/** Reads as anyone would, without a session. */
const reader = new AtpAgent({ service: origin })

async function newcomer() {
  const mat = await (await WelcomeMatAgent.create(origin)).enroll(freshHandle('api'))
  return { mat, agent: new Agent(mat.session()) }
}

before(async () => {
  ;({ mat, agent } = await newcomer())
  repo = mat.did
})

/** Asserts that a call fails with this status, this error name and a message that matches. */
async function assertFails(promise, status, error, message = /./) {
  await assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof XRPCError, String(thrown))
    assert.deepEqual({ status: thrown.status, error: thrown.error }, { status, error }, thrown.message)
    assert.match(thrown.message, message)
    return true
  })
}

const record = (fields) => ({ $type: collection, ...fields })
const create = (fields, more = {}) => agent.com.atproto.repo.createRecord({ repo, collection, record: record(fields), ...more })

test('describeServer says who the server is', async () => {
  const { data } = await reader.com.atproto.server.describeServer()
  assert.match(data.did, /^did:web:/)
  assert.ok(data.availableUserDomains.length > 0)
  for (const domain of data.availableUserDomains) assert.match(domain, /^\./)
  assert.ok(data.availableUserDomains.some((domain) => mat.handle.endsWith(domain)))
})

test('the health check tells a version', async () => {
  const response = await fetch(`${origin}/xrpc/_health`)
  assert.equal(typeof (await response.json()).version, 'string')
})

test('a handle resolves, whatever its case, and an unknown one does not', async () => {
  assert.equal((await reader.resolveHandle({ handle: mat.handle })).data.did, repo)
  assert.equal((await reader.resolveHandle({ handle: mat.handle.toUpperCase() })).data.did, repo)
  const unknown = reader.resolveHandle({ handle: `nobody-${Date.now()}${mat.handle.slice(mat.handle.indexOf('.'))}` })
  await assertFails(unknown, 400, 'HandleNotFound', /Unable to resolve handle/)
})

test('a created record is read back by DID and by handle', async () => {
  const { data } = await create({ text: 'hello' })
  assert.match(data.uri, new RegExp(`^at://${repo}/${collection}/[2-7a-z]{13}$`))
  assert.equal(data.validationStatus, 'unknown')
  assert.ok(data.commit.cid && data.commit.rev)
  const rkey = data.uri.split('/').pop()
  for (const name of [repo, mat.handle]) {
    const got = await reader.com.atproto.repo.getRecord({ repo: name, collection, rkey })
    assert.deepEqual(got.data, { uri: data.uri, cid: data.cid, value: record({ text: 'hello' }) })
  }
  const withCid = await reader.com.atproto.repo.getRecord({ repo, collection, rkey, cid: data.cid })
  assert.equal(withCid.data.cid, data.cid)
  await assertFails(
    reader.com.atproto.repo.getRecord({ repo, collection, rkey, cid: STRANGER }),
    400,
    'RecordNotFound',
    /Could not locate record/,
  )
})

test('a record that is not there is RecordNotFound with the words that applications look for', async () => {
  const missing = reader.com.atproto.repo.getRecord({ repo, collection, rkey: 'missing' })
  await assertFails(missing, 400, 'RecordNotFound', new RegExp(`Could not locate record: at://${repo}/${collection}/missing`))
})

test('listRecords pages newest first, and oldest first in reverse', async () => {
  const { mat, agent } = await newcomer()
  for (let n = 0; n < 7; n += 1) {
    await agent.com.atproto.repo.createRecord({ repo: mat.did, collection, rkey: `k${n}`, record: record({ n }) })
  }
  const pages = async (reverse) => {
    const seen = []
    let cursor
    do {
      const { data } = await reader.com.atproto.repo.listRecords({ repo: mat.did, collection, limit: 3, cursor, reverse })
      assert.ok(data.records.length <= 3)
      seen.push(...data.records.map(({ value }) => value.n))
      cursor = data.cursor
    } while (cursor)
    return seen
  }
  assert.deepEqual(await pages(false), [6, 5, 4, 3, 2, 1, 0])
  assert.deepEqual(await pages(true), [0, 1, 2, 3, 4, 5, 6])
  const all = await reader.com.atproto.repo.listRecords({ repo: mat.handle, collection })
  assert.equal(all.data.records.length, 7)
})

test('listRecords of a collection without records is an empty list', async () => {
  const { data } = await reader.com.atproto.repo.listRecords({ repo, collection: 'com.example.nothing' })
  assert.deepEqual(data.records, [])
})

test('listRecords refuses a limit out of range and an unknown repository', async () => {
  for (const limit of [0, 101, -1]) {
    await assertFails(reader.com.atproto.repo.listRecords({ repo, collection, limit }), 400, 'InvalidRequest')
  }
  const nobody = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
  const unknown = reader.com.atproto.repo.listRecords({ repo: nobody, collection })
  await assertFails(unknown, 400, 'InvalidRequest', /Could not find repo/)
})

test('putRecord creates, updates, and makes no commit when nothing changes', async () => {
  const put = (fields, more) =>
    agent.com.atproto.repo.putRecord({ repo, collection, rkey: 'put', record: record(fields), ...more })
  const first = await put({ v: 1 })
  const second = await put({ v: 2 })
  assert.notEqual(second.data.cid, first.data.cid)
  const before = await reader.com.atproto.sync.getLatestCommit({ did: repo })
  const same = await put({ v: 2 })
  assert.equal(same.data.cid, second.data.cid)
  assert.deepEqual((await reader.com.atproto.sync.getLatestCommit({ did: repo })).data, before.data)

  const swapped = await put({ v: 3 }, { swapRecord: second.data.cid })
  await assertFails(put({ v: 4 }, { swapRecord: second.data.cid }), 400, 'InvalidSwap')
  await assertFails(put({ v: 4 }, { swapRecord: null }), 400, 'InvalidSwap')
  const read = await reader.com.atproto.repo.getRecord({ repo, collection, rkey: 'put' })
  assert.equal(read.data.cid, swapped.data.cid)
})

test('swapCommit lets a write through only on the head it names', async () => {
  const head = async () => (await reader.com.atproto.sync.getLatestCommit({ did: repo })).data.cid
  const stale = await head()
  const { data } = await create({ n: 1 }, { swapCommit: stale })
  assert.equal(await head(), data.commit.cid)
  const writes = [{ $type: 'com.atproto.repo.applyWrites#create', collection, rkey: 'swap', value: record({}) }]
  const refused = {
    createRecord: { collection, record: record({ n: 2 }) },
    putRecord: { collection, rkey: 'swap', record: record({}) },
    deleteRecord: { collection, rkey: 'put' },
    applyWrites: { writes },
  }
  for (const [method, input] of Object.entries(refused)) {
    await assertFails(agent.com.atproto.repo[method]({ repo, ...input, swapCommit: stale }), 400, 'InvalidSwap')
  }
  assert.equal(await head(), data.commit.cid)
})

test('deleteRecord deletes, and is a no-op on what is not there', async () => {
  const { data } = await create({ doomed: true }, { rkey: 'doomed' })
  await assertFails(
    agent.com.atproto.repo.deleteRecord({ repo, collection, rkey: 'doomed', swapRecord: STRANGER }),
    400,
    'InvalidSwap',
  )
  await agent.com.atproto.repo.deleteRecord({ repo, collection, rkey: 'doomed', swapRecord: data.cid })
  await assertFails(reader.com.atproto.repo.getRecord({ repo, collection, rkey: 'doomed' }), 400, 'RecordNotFound')
  const before = await reader.com.atproto.sync.getLatestCommit({ did: repo })
  const again = await agent.com.atproto.repo.deleteRecord({ repo, collection, rkey: 'doomed' })
  assert.equal(again.success, true)
  assert.deepEqual((await reader.com.atproto.sync.getLatestCommit({ did: repo })).data, before.data)
})

test('applyWrites is one commit, with a typed result for each write', async () => {
  await create({ v: 1 }, { rkey: 'upd' })
  await create({ v: 1 }, { rkey: 'del' })
  const type = (name) => `com.atproto.repo.applyWrites#${name}`
  const { data } = await agent.com.atproto.repo.applyWrites({
    repo,
    writes: [
      { $type: type('create'), collection, value: record({ v: 2 }) },
      { $type: type('update'), collection, rkey: 'upd', value: record({ v: 2 }) },
      { $type: type('delete'), collection, rkey: 'del' },
    ],
  })
  assert.deepEqual(
    data.results.map(({ $type }) => $type),
    ['createResult', 'updateResult', 'deleteResult'].map(type),
  )
  assert.equal((await reader.com.atproto.sync.getLatestCommit({ did: repo })).data.rev, data.commit.rev)
})

test('applyWrites that fails in one write changes nothing', async () => {
  const before = await reader.com.atproto.sync.getLatestCommit({ did: repo })
  const $type = 'com.atproto.repo.applyWrites#create'
  const twice = { $type, collection, rkey: 'twice', value: record({}) }
  await assert.rejects(agent.com.atproto.repo.applyWrites({ repo, writes: [twice, twice] }), ({ status }) => status === 400)
  const unsound = { $type, collection, rkey: 'bad', value: { $type: 'com.example.other' } }
  await assertFails(agent.com.atproto.repo.applyWrites({ repo, writes: [twice, unsound] }), 400, 'InvalidRequest')
  assert.deepEqual((await reader.com.atproto.sync.getLatestCommit({ did: repo })).data, before.data)
})

test('more than 200 writes in a batch are refused', async () => {
  const writes = Array.from({ length: 201 }, (_, n) => ({
    $type: 'com.atproto.repo.applyWrites#create',
    collection,
    rkey: `many${n}`,
    value: record({ n }),
  }))
  await assertFails(agent.com.atproto.repo.applyWrites({ repo, writes }), 400, 'InvalidRequest', /Too many writes\. Max: 200/)
})

test('a record must say that it is of its collection, and cannot be validated', async () => {
  const other = agent.com.atproto.repo.createRecord({ repo, collection, record: { $type: 'com.example.other' } })
  await assertFails(other, 400, 'InvalidRequest', /Invalid \$type: expected com\.example\.post, got com\.example\.other/)
  const untyped = agent.com.atproto.repo.createRecord({ repo, collection, record: { text: 'no type' } })
  await assertFails(untyped, 400, 'InvalidRequest', /no \$type/)
  await assertFails(create({}, { validate: true }), 400, 'InvalidRequest')
  assert.equal((await create({}, { validate: false })).data.validationStatus, undefined)
})

test('creating the same record key twice is refused', async () => {
  await create({ n: 1 }, { rkey: 'once' })
  await assert.rejects(create({ n: 2 }, { rkey: 'once' }), ({ status }) => status === 400)
  const { data } = await reader.com.atproto.repo.getRecord({ repo, collection, rkey: 'once' })
  assert.equal(data.value.n, 1)
})

test("another agent's repository cannot be written", async () => {
  const stranger = await newcomer()
  const attempts = {
    createRecord: { repo, collection, record: record({}) },
    putRecord: { repo: mat.handle, collection, rkey: 'put', record: record({}) },
    deleteRecord: { repo, collection, rkey: 'put' },
    applyWrites: { repo, writes: [{ $type: 'com.atproto.repo.applyWrites#delete', collection, rkey: 'put' }] },
  }
  for (const [method, input] of Object.entries(attempts)) {
    const attempt = stranger.agent.com.atproto.repo[method](input)
    await assert.rejects(attempt, ({ status }) => status === 401 || status === 403, method)
  }
})

test('a write without a token is refused with a challenge', async () => {
  const response = await fetch(`${origin}/xrpc/com.atproto.repo.createRecord`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ repo, collection, record: record({}) }),
  })
  assert.equal(response.status, 401)
  assert.match(response.headers.get('www-authenticate') ?? '', /^DPoP/)
  const { error, message } = await response.json()
  assert.ok(error && message)
})

test('describeRepo tells the handle, the document and the collections', async () => {
  const { data } = await reader.com.atproto.repo.describeRepo({ repo: mat.handle })
  assert.equal(data.did, repo)
  assert.equal(data.handle, mat.handle)
  assert.equal(data.handleIsCorrect, true)
  assert.equal(data.didDoc.id, repo)
  assert.deepEqual(data.collections, [collection])
  const nobody = reader.com.atproto.repo.describeRepo({ repo: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' })
  await assert.rejects(nobody, ({ status, message }) => status === 400 && /./.test(message))
})

test('the sync methods answer as their lexicons say', async () => {
  const latest = await reader.com.atproto.sync.getLatestCommit({ did: repo })
  const status = await reader.com.atproto.sync.getRepoStatus({ did: repo })
  assert.deepEqual(status.data, { did: repo, active: true, rev: latest.data.rev })
  const car = await reader.com.atproto.sync.getRepo({ did: repo })
  assert.ok(car.data.length > 100)
  const nobody = { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' }
  for (const method of ['getLatestCommit', 'getRepoStatus', 'getRepo']) {
    await assertFails(reader.com.atproto.sync[method](nobody), 400, 'RepoNotFound')
  }
})

test('listRepos pages through every account', async () => {
  const seen = new Map()
  let cursor
  do {
    const { data } = await reader.com.atproto.sync.listRepos({ limit: 5, cursor })
    for (const entry of data.repos) {
      assert.ok(!seen.has(entry.did), 'listed twice')
      seen.set(entry.did, entry)
    }
    cursor = data.cursor
  } while (cursor)
  const { data } = await reader.com.atproto.sync.getLatestCommit({ did: repo })
  assert.deepEqual(
    { head: seen.get(repo).head, rev: seen.get(repo).rev, active: seen.get(repo).active },
    { head: data.cid, rev: data.rev, active: true },
  )
})

test('a method nobody knows is not implemented, for queries and procedures', async () => {
  for (const [nsid, call] of [
    ['com.example.nothing', (n) => query(origin, n)],
    ['com.example.nothing', (n) => mat.procedure(n, {})],
  ]) {
    const { status, body } = await call(nsid)
    assert.equal(status, 501)
    assert.equal(body.error, 'MethodNotImplemented')
    assert.ok(body.message)
  }
})

test('a browser may call from any page', async () => {
  const preflight = await fetch(`${origin}/xrpc/com.atproto.repo.createRecord`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.example.com',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,dpop,content-type',
    },
  })
  assert.ok(preflight.ok)
  assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
  assert.match(preflight.headers.get('access-control-allow-headers'), /dpop|\*/i)
  const { headers } = await fetch(`${origin}/xrpc/_health`, { headers: { origin: 'https://app.example.com' } })
  assert.match(headers.get('access-control-expose-headers'), /dpop-nonce/i)
  assert.match(headers.get('access-control-expose-headers'), /www-authenticate/i)
})

test('an agent that enrolls again keeps its account', async () => {
  const { mat } = await newcomer()
  const again = await mat.tryEnroll(mat.handle)
  assert.equal(again.status, 200, again.text)
  assert.deepEqual({ did: again.body.did, handle: again.body.handle }, { did: mat.did, handle: mat.handle })
  assert.equal(again.body.token_type, 'DPoP')
  assert.ok(again.body.access_token)
})

test('a handle is given once', async () => {
  const late = await WelcomeMatAgent.create(origin)
  const refused = await late.tryEnroll(mat.handle)
  assert.ok(refused.status >= 400 && refused.status < 500, refused.text)
  assert.ok(refused.body.error && refused.body.message)
  assert.equal((await reader.resolveHandle({ handle: mat.handle })).data.did, repo)
})

test('a proof works once', async () => {
  const url = `${origin}/xrpc/com.atproto.repo.deleteRecord`
  const init = {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `DPoP ${mat.token}`,
      dpop: await mat.proof('POST', url, { token: mat.token }),
    },
    body: JSON.stringify({ repo, collection, rkey: 'missing' }),
  }
  assert.equal((await fetch(url, init)).status, 200)
  const replayed = await fetch(url, init)
  assert.equal(replayed.status, 401)
  assert.match(replayed.headers.get('www-authenticate'), /error="invalid_dpop_proof"/)
})
