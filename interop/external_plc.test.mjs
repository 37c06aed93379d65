// Rookery with the real directory server as its external one, and with a directory that misbehaves.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import plc from '@did-plc/lib'
import { startFaultyProxy, startPlcDirectory, startRookery } from './servers.mjs'
import { resolve, verifyAccount } from './verify.mjs'
import { WelcomeMatAgent, freshHandle } from './wm.mjs'

let directory, proxy, rookery

before(async () => {
  directory = await startPlcDirectory()
  proxy = await startFaultyProxy(directory.url)
  rookery = await startRookery({ ROOKERY_PLC_URL: proxy.url })
})
after(async () => {
  await rookery?.stop()
  await proxy?.stop()
  await directory?.stop()
})
afterEach(() => proxy.set(() => undefined))

const newcomer = () => WelcomeMatAgent.create(rookery.url)
const isPost = ({ method }) => method === 'POST'

async function accounts() {
  const response = await fetch(`${rookery.url}/xrpc/com.atproto.sync.listRepos?limit=1000`)
  return (await response.json()).repos.map(({ did }) => did)
}

/** The account works: its DID is in the real directory, and its repository verifies against the key there. */
async function assertWorks(agent) {
  const { document } = await resolve(directory.url, agent.did)
  assert.deepEqual(document.alsoKnownAs, [`at://${agent.handle}`])
  const written = await agent.procedure('com.atproto.repo.createRecord', {
    repo: agent.did,
    collection: 'com.example.post',
    record: { $type: 'com.example.post', text: 'hello' },
  })
  assert.equal(written.status, 200, written.text)
  const { records } = await verifyAccount(rookery.url, agent.did, directory.url)
  assert.equal(records.size, 1)
}

test('an agent enrolls, and its DID is in the real directory with a valid log', async () => {
  const agent = await (await newcomer()).enroll(freshHandle())
  const log = await (await fetch(`${directory.url}/${agent.did}/log`)).json()
  const data = await plc.validateOperationLog(agent.did, log)
  assert.deepEqual(data.alsoKnownAs, [`at://${agent.handle}`])
  await assertWorks(agent)
})

test('with an external directory the server serves none of its own', async () => {
  const agent = await (await newcomer()).enroll(freshHandle())
  const response = await fetch(`${rookery.url}/${agent.did}`)
  assert.equal(response.status, 404)
})

describe('a directory that fails at first is tried again', () => {
  const faults = {
    'a 500': ({ attempt }) => (attempt < 2 ? 500 : undefined),
    'a 502 and a 503': ({ attempt }) => [502, 503][attempt],
    'a 429': ({ attempt }) => (attempt < 1 ? 429 : undefined),
    'a connection that ends': ({ attempt }) => (attempt < 1 ? 'reset' : undefined),
    'no answer': ({ attempt }) => (attempt < 1 ? 'hang' : undefined),
    'an answer that is lost after the directory has acted': ({ attempt }) => (attempt < 1 ? 'lost' : undefined),
  }
  for (const [name, plan] of Object.entries(faults)) {
    test(name, { timeout: 90_000 }, async () => {
      proxy.set((request) => (isPost(request) ? plan(request) : undefined))
      const agent = await (await newcomer()).enroll(freshHandle())
      assert.equal(new Set(proxy.posts().map(({ path }) => path)).size, 1, 'the retry is for the same DID')
      await assertWorks(agent)
    })
  }
})

describe('a directory that keeps failing leaves nothing behind', () => {
  for (const fault of [500, 429, 'reset', 400]) {
    test(`always ${fault}`, { timeout: 120_000 }, async () => {
      const known = await accounts()
      proxy.set((request) => (isPost(request) ? fault : undefined))
      const handle = freshHandle()
      const first = await newcomer()
      const refused = await first.tryEnroll(handle)
      assert.ok(refused.status >= 500, `answered ${refused.status}`)
      assert.ok(refused.body?.error && refused.body?.message, refused.text)
      assert.ok(proxy.posts().length <= 10, 'retries are bounded')
      if (fault === 400) assert.equal(proxy.posts().length, 1, 'what is refused is not sent again')
      assert.deepEqual(await accounts(), known)
      const resolved = await first.query('com.atproto.identity.resolveHandle', { handle: `${handle}.test` })
      assert.equal(resolved.body.error, 'HandleNotFound')

      proxy.set(() => undefined)
      const second = await (await newcomer()).enroll(handle)
      await assertWorks(second)
      await first.enroll(freshHandle())
      await assertWorks(first)
    })
  }
})

test('the same agent may try the same handle again after a failure', { timeout: 120_000 }, async () => {
  proxy.set((request) => (isPost(request) ? 503 : undefined))
  const handle = freshHandle()
  const agent = await newcomer()
  assert.ok((await agent.tryEnroll(handle)).status >= 500)
  proxy.set(() => undefined)
  await agent.enroll(handle)
  await assertWorks(agent)
})

test('two agents that ask for one handle while the directory is slow: one gets it', { timeout: 120_000 }, async () => {
  proxy.set((request) => (isPost(request) && request.attempt < 1 ? 500 : undefined))
  const handle = freshHandle()
  const agents = await Promise.all([newcomer(), newcomer(), newcomer()])
  const answers = await Promise.all(agents.map((agent) => agent.tryEnroll(handle)))
  const statuses = answers.map(({ status }) => status).sort()
  assert.equal(statuses[0], 200, statuses.join())
  assert.ok(statuses[1] >= 400 && statuses[2] >= 400, statuses.join())
})
