// The embedded directory behaves as the real one does: the same operations are sent to both, and the status codes, the
// logs and the data must agree. Its log passes `@did-plc/lib`.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Secp256k1Keypair } from '@atproto/crypto'
import plc from '@did-plc/lib'
import { lifeOf, send } from './plc_cases.mjs'
import { rookeryUrl, startPlcDirectory } from './servers.mjs'
import { resolve } from './verify.mjs'
import { WelcomeMatAgent, freshHandle } from './wm.mjs'

const origin = rookeryUrl()
const ROUTES = ['', '/data', '/log', '/log/audit', '/log/last']
let real

before(async () => {
  real = await startPlcDirectory()
})
after(() => real.stop())

const read = async (url, path) => {
  const response = await fetch(`${url}/${path}`)
  const text = await response.text()
  return { status: response.status, type: response.headers.get('content-type') ?? '', json: response.ok ? JSON.parse(text) : text }
}

/** An account whose highest rotation key is ours, and its genesis operation. */
async function enrollWithRecoveryKey() {
  const recovery = await Secp256k1Keypair.create()
  const agent = await WelcomeMatAgent.create(origin)
  await agent.enroll(freshHandle('plc'), { recoveryKey: recovery.did() })
  const [genesis] = (await read(origin, `${agent.did}/log`)).json
  return { agent, recovery, genesis, did: agent.did }
}

test('the log of an enrolled agent is valid, and its DID is the hash of its genesis operation', async () => {
  const { agent, recovery, genesis, did } = await enrollWithRecoveryKey()
  assert.equal(await plc.didForCreateOp(genesis), did)
  const log = (await read(origin, `${did}/log`)).json
  const data = await plc.validateOperationLog(did, log)
  assert.equal(data.rotationKeys[0], recovery.did())
  assert.equal(data.rotationKeys.length, 2)
  assert.deepEqual(data.alsoKnownAs, [`at://${agent.handle}`])
  assert.equal(data.services.atproto_pds.type, 'AtprotoPersonalDataServer')
  assert.deepEqual((await read(origin, `${did}/data`)).json, data)
  assert.deepEqual((await read(origin, `${did}/log/last`)).json, log.at(-1))
})

test('the DID document says what the log says', async () => {
  const { agent, did } = await enrollWithRecoveryKey()
  const { data, document } = await both(agent)
  assert.equal(document.id, did)
  assert.deepEqual(document.alsoKnownAs, data.alsoKnownAs)
  const { key } = await resolve(origin, did)
  assert.equal(key, data.verificationMethods.atproto)
  const [method] = document.verificationMethod
  assert.deepEqual(method, {
    id: `${did}#atproto`,
    type: 'Multikey',
    controller: did,
    publicKeyMultibase: data.verificationMethods.atproto.slice('did:key:'.length),
  })
  assert.deepEqual(document.service, [
    { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: data.services.atproto_pds.endpoint },
  ])
})

async function both(agent) {
  const document = await read(origin, agent.did)
  assert.match(document.type, /^application\/did\+ld\+json/)
  return { document: document.json, data: (await read(origin, `${agent.did}/data`)).json }
}

test('the client library of the directory reads it', async () => {
  const { agent, genesis } = await enrollWithRecoveryKey()
  const client = new plc.Client(origin)
  assert.equal((await client.getDocument(agent.did)).id, agent.did)
  assert.deepEqual(await client.getLastOp(agent.did), genesis)
  const [entry] = await client.getAuditableLog(agent.did)
  assert.equal(entry.did, agent.did)
  assert.equal(entry.nullified, false)
  assert.equal(entry.cid, (await plc.getLastOpWithCid([genesis])).cid.toString())
  assert.equal(new Date(entry.createdAt).toISOString(), entry.createdAt)
})

test('a DID may be escaped in the path, as the official resolver does', async () => {
  const { did } = await enrollWithRecoveryKey()
  assert.equal((await read(origin, encodeURIComponent(did))).json.id, did)
})

test('what is not registered is 404 on every route', async () => {
  for (const did of ['did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', 'did:plc:ABC', 'did:plc:', 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']) {
    for (const route of ROUTES) {
      const path = did + route
      assert.equal((await read(real.url, path)).status, 404, path)
      const { status, json } = await read(origin, path)
      assert.equal(status, 404, path)
      assert.ok(JSON.parse(json).message, 'an error says why')
    }
  }
})

test('good and bad operations get the status codes of the real directory', async (t) => {
  const { recovery, genesis, did } = await enrollWithRecoveryKey()
  const seed = await send(real.url, { target: did, body: genesis, type: 'application/json' })
  assert.equal(seed.status, 200, seed.text)

  for (const one of await lifeOf(did, genesis, recovery)) {
    await t.test(one.name, async () => {
      const want = one.want ?? (await send(real.url, one)).status
      const { status, text } = await send(origin, one)
      assert.equal(status, want, text)
      await assertSameState(did)
    })
  }
})

/** Both directories hold the same history, and tell the same on every route. */
async function assertSameState(did) {
  for (const route of ROUTES) {
    const theirs = await read(real.url, did + route)
    const ours = await read(origin, did + route)
    assert.equal(ours.status, theirs.status, route)
    if (!ours.json.id && ours.status === 200) assert.deepEqual(withoutTimes(ours.json), withoutTimes(theirs.json), route)
  }
}

const withoutTimes = (json) => (Array.isArray(json) ? json.map(({ createdAt, ...rest }) => rest) : json)
