// Operations, good and bad, to try on a PLC directory. Each is sent to the directory under test and to the real one.

import { encode } from '@atcute/cbor'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import plc from '@did-plc/lib'

const K256_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** Signs whatever it is given, also what no library would. */
async function sign(operation, keypair, change = (signature) => signature) {
  const signature = change(await keypair.sign(encode(operation)))
  return { ...operation, sig: typeof signature === 'string' ? signature : Buffer.from(signature).toString('base64url') }
}

/** The other signature that satisfies the same equation, which atproto forbids. */
function highS(signature) {
  const s = BigInt(`0x${Buffer.from(signature.slice(32)).toString('hex')}`)
  const flipped = (K256_ORDER - s).toString(16).padStart(64, '0')
  return Buffer.concat([signature.slice(0, 32), Buffer.from(flipped, 'hex')])
}

/** The same signature as ASN.1 DER. */
function der(signature) {
  const integer = (bytes) => {
    let trimmed = Buffer.from(bytes)
    while (trimmed.length > 1 && trimmed[0] === 0) trimmed = trimmed.subarray(1)
    if (trimmed[0] & 0x80) trimmed = Buffer.concat([Buffer.from([0]), trimmed])
    return Buffer.concat([Buffer.from([2, trimmed.length]), trimmed])
  }
  const body = Buffer.concat([integer(signature.slice(0, 32)), integer(signature.slice(32))])
  return Buffer.concat([Buffer.from([0x30, body.length]), body])
}

/**
 * The life of one DID, in order, as `{name, body, target?, type?, want?}`. A case without `want` goes to both directories,
 * which must answer with the same status. With `want`, the published package falls short of today's directory (it crashes, or
 * takes what the later source refuses), so the case goes to the directory under test alone.
 * `recovery` is the key that comes first among the rotation keys of `genesis`.
 */
export async function lifeOf(did, genesis, recovery) {
  const cases = []
  const add = (name, body, more = {}) => cases.push({ name, body, ...more })
  const lower = await P256Keypair.create()
  const stranger = await Secp256k1Keypair.create()
  const cidOf = async (operation) => (await plc.getLastOpWithCid([operation])).cid.toString()
  const after = async (operation, changes) => {
    const { sig, ...rest } = operation
    return { ...rest, prev: await cidOf(operation), ...changes }
  }
  const next = await after(genesis, { alsoKnownAs: ['at://changed.test'] })
  const good = await sign(next, recovery)

  add('an unknown key', await sign(next, stranger))
  add('a tampered operation', { ...good, alsoKnownAs: ['at://tampered.test'] })
  add('a tampered signature', await sign(next, recovery, (s) => s.map((byte, n) => (n === 5 ? byte ^ 1 : byte))))
  add('a high-S signature', await sign(next, recovery, highS))
  add('a DER signature', await sign(next, recovery, der), { want: 400 })
  add('a padded signature', { ...good, sig: `${good.sig}==` }, { want: 400 })
  add('a signature with a newline', { ...good, sig: `${good.sig}\n` }, { want: 400 })
  add('an empty signature', { ...good, sig: '' })
  add('a signature that is not base64', { ...good, sig: '!!!' }, { want: 400 })
  add('a signature that is a number', { ...good, sig: 7 })
  add('no signature', next)
  add('no prev', await sign({ ...next, prev: null }, recovery))
  add('a prev that is not in the log', await sign({ ...next, prev: await cidOf(good) }, recovery))
  add('a prev that is not a CID', await sign({ ...next, prev: 'not-a-cid' }, recovery), { want: 400 })
  add('a prev that is a number', await sign({ ...next, prev: 7 }, recovery))
  add('the genesis operation again', genesis)
  add('the genesis operation on another DID', genesis, { target: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' })
  add('an operation on a DID without a genesis', good, { target: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' })
  add('an unknown type', await sign({ ...next, type: 'plc_other' }, recovery))
  const { rotationKeys, ...keyless } = next
  add('no rotation keys at all', await sign(keyless, recovery))
  add('rotation keys that are not a list', await sign({ ...next, rotationKeys: recovery.did() }, recovery))
  add('a rotation key that is no key', await sign({ ...next, rotationKeys: [...rotationKeys, 'did:key:zzz'] }, recovery))
  add('a rotation key on an unsupported curve', await sign({ ...next, rotationKeys: ['did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'] }, recovery))
  add('a service without an endpoint', await sign({ ...next, services: { atproto_pds: { type: 'AtprotoPersonalDataServer' } } }, recovery))
  add('a name that is not text', await sign({ ...next, alsoKnownAs: [7] }, recovery))
  add('eleven names', await sign({ ...next, alsoKnownAs: Array.from({ length: 11 }, (_, n) => `at://n${n}.test`) }, recovery), { want: 400 })
  add('a name twice', await sign({ ...next, alsoKnownAs: ['at://a.test', 'at://a.test'] }, recovery), { want: 400 })
  add('an operation of more than 4000 bytes', await sign({ ...next, services: oversized() }, recovery), { want: 400 })
  add('a body of more than 100 kB', { ...good, padding: 'x'.repeat(150_000) }, { want: 413 })
  add('a list', [])
  add('an empty object', {})
  add('no JSON', '{"type":', { want: 400 })
  add('text', '"text"', { want: 400 })
  add('null', 'null', { want: 400 })
  add('another content type', JSON.stringify(good), { type: 'text/plain' })

  const handOver = await sign(await after(genesis, { rotationKeys: [recovery.did(), lower.did()] }), recovery)
  add('an update by the recovery key', handOver)
  add('the same update again', handOver)
  const disputed = await sign(await after(handOver, { alsoKnownAs: ['at://disputed.test'] }), lower)
  add('an update by the lower key', disputed)
  add('a fork by the key that made the last operation', await sign(await after(handOver, { alsoKnownAs: ['at://fork.test'] }), lower))
  const recovered = await sign(await after(handOver, { alsoKnownAs: ['at://recovered.test'] }), recovery)
  add('a fork by the recovery key, which nullifies', recovered)
  add('an update on top of what was nullified', await sign(await after(disputed, { alsoKnownAs: ['at://late.test'] }), recovery))
  add('a fork by the lower key over the recovery key', await sign(await after(handOver, { alsoKnownAs: ['at://again.test'] }), lower))
  const tombstone = { type: 'plc_tombstone', prev: await cidOf(recovered) }
  add('a tombstone by a stranger', await sign(tombstone, stranger))
  const buried = await sign(tombstone, recovery)
  add('a tombstone', buried)
  add('an update after the tombstone', await sign({ ...next, prev: await cidOf(buried) }, recovery))
  return cases.map((one) => ({ target: did, type: 'application/json', ...one }))
}

/** Services within every single limit that are past 4000 bytes together. */
function oversized() {
  const entries = Array.from({ length: 9 }, (_, n) => [`s${n}`, { type: 'Thing', endpoint: `https://${'x'.repeat(490)}` }])
  return Object.fromEntries(entries)
}

/** Sends a case to the directory at `url`; answers the status. */
export async function send(url, { target, body, type }) {
  const response = await fetch(`${url}/${target}`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, text: await response.text() }
}
