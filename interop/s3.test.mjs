// Blobs in a bucket of a real S3 server.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startBucket, startRookery } from './servers.mjs'
import { WelcomeMatAgent, freshHandle, readAnswer } from './wm.mjs'

const COLLECTION = 'com.example.file'
let bucket, rookery

const settings = (keys) => ({
  ROOKERY_BLOB_STORE: 's3://blobs/agents',
  ROOKERY_S3_ENDPOINT: bucket.url,
  ROOKERY_S3_ACCESS_KEY_ID: keys.id,
  ROOKERY_S3_SECRET_ACCESS_KEY: keys.secret,
  ROOKERY_BLOB_GRACE: '1s',
})

before(async () => {
  bucket = await startBucket()
  rookery = await startRookery({ ...settings(bucket.keys), ROOKERY_BLOB_GRACE: '30s' })
})
after(async () => {
  await rookery?.stop()
  await bucket?.stop()
})

const newcomer = async (host = rookery) => (await WelcomeMatAgent.create(host.url)).enroll(freshHandle())

const upload = async (agent, bytes, type = 'application/octet-stream') =>
  readAnswer(
    await agent.fetch('/xrpc/com.atproto.repo.uploadBlob', {
      method: 'POST',
      headers: { 'content-type': type },
      body: bytes,
    }),
  )

const refer = (agent, rkey, blob) =>
  agent.procedure('com.atproto.repo.createRecord', {
    repo: agent.did,
    collection: COLLECTION,
    rkey,
    record: { $type: COLLECTION, blob },
  })

const download = (agent, blob, headers = {}) =>
  fetch(`${agent.origin}/xrpc/com.atproto.sync.getBlob?did=${agent.did}&cid=${blob.ref.$link}`, { headers })

/** The one object that came into the bucket since its files were these. Its name says nothing of what is in it. */
async function addedTo(before) {
  const added = (await bucket.files()).filter((name) => !before.includes(name))
  assert.equal(added.length, 1, `${added}`)
  return added[0]
}

async function eventually(what, holds) {
  const deadline = Date.now() + 60_000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, what)
    await delay(100)
  }
}

test('blobs of any size go into the bucket and come back, whole and in parts', async () => {
  const agent = await newcomer()
  for (const size of [1, 70_000, 20 * 1024 * 1024]) {
    const bytes = randomBytes(size)
    const before = await bucket.files()
    const uploaded = await upload(agent, bytes, 'image/png')
    assert.equal(uploaded.status, 200, uploaded.text)
    const { blob } = uploaded.body
    assert.equal(blob.size, size)
    await addedTo(before)
    assert.equal((await refer(agent, `of-${size}`, blob)).status, 200)

    const whole = await download(agent, blob)
    assert.equal(whole.status, 200)
    assert.equal(whole.headers.get('content-type'), 'image/png')
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes))
    if (size > 1) {
      const part = await download(agent, blob, { range: 'bytes=10-65000' })
      assert.equal(part.status, 206)
      assert.equal(part.headers.get('content-range'), `bytes 10-65000/${size}`)
      assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(10, 65_001)))
    }
  }
})

test('a blob that nothing refers to any more leaves the bucket', async () => {
  const short = await startRookery(settings(bucket.keys))
  try {
    const agent = await newcomer(short)
    const before = await bucket.files()
    const { blob } = (await upload(agent, randomBytes(1000))).body
    await refer(agent, 'one', blob)
    const object = await addedTo(before)
    const is = async () => (await bucket.files()).includes(object)
    assert.ok(await is())
    await agent.procedure('com.atproto.repo.deleteRecord', { repo: agent.did, collection: COLLECTION, rkey: 'one' })
    assert.equal((await download(agent, blob)).status, 400)
    await eventually('the object is deleted', async () => !(await is()))
  } finally {
    await short.stop()
  }
})

test('while the bucket is away uploads and reads fail clearly, and nothing is lost', async () => {
  const agent = await newcomer()
  const bytes = randomBytes(100_000)
  const { blob } = (await upload(agent, bytes)).body
  assert.equal((await refer(agent, 'kept', blob)).status, 200)

  await bucket.halt()
  const refused = await upload(agent, randomBytes(1000))
  assert.equal(refused.status, 503, refused.text)
  assert.equal(refused.body.error, 'BlobStoreUnavailable')
  assert.equal((await download(agent, blob)).status, 503)
  const record = await agent.procedure('com.atproto.repo.createRecord', {
    repo: agent.did,
    collection: COLLECTION,
    record: { $type: COLLECTION },
  })
  assert.equal(record.status, 200, 'records do not need the bucket')

  await bucket.restart()
  const back = await download(agent, blob)
  assert.equal(back.status, 200)
  assert.ok(Buffer.from(await back.arrayBuffer()).equals(bytes))
  assert.equal((await upload(agent, randomBytes(1000))).status, 200)
})

test('a bucket that refuses the key gives a 5xx that says nothing of it, and keeps nothing', async () => {
  const stranger = await startRookery(settings({ ...bucket.keys, secret: 'another-secret' }))
  try {
    const agent = await newcomer(stranger)
    const before = await bucket.files()
    const refused = await upload(agent, randomBytes(1000))
    assert.ok(refused.status >= 500, refused.text)
    for (const secret of ['another-secret', 'X-Amz-Signature']) {
      assert.ok(!refused.text.includes(secret), refused.text)
      assert.ok(!stranger.log().includes(secret), 'the log keeps secrets')
    }
    assert.deepEqual(await bucket.files(), before)
  } finally {
    await stranger.stop()
  }
})
