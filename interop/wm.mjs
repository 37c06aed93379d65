// A WelcomeMat client on `jose`: a key pair, enrollment, and a fetch that signs every request.
// It shares no code with the server or with Rookery's own client, so that agreement between them means something.

import { createHash, randomUUID, webcrypto } from 'node:crypto'
import { SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'

/** The algorithms a Rookery lists in its welcome.md, and how WebCrypto signs plain bytes with each. */
const RAW_SIGNING = {
  RS256: 'RSASSA-PKCS1-v1_5',
  ES256: { name: 'ECDSA', hash: 'SHA-256' },
  EdDSA: 'Ed25519',
}

export const ALGORITHMS = Object.keys(RAW_SIGNING)

const base64url = (bytes) => Buffer.from(bytes).toString('base64url')
export const sha256url = (data) => createHash('sha256').update(data).digest('base64url')

/** The clock that tokens are stamped with: unix seconds. */
const now = () => Math.floor(Date.now() / 1000)

export class WelcomeMatAgent {
  /** Makes a key pair for the server at `origin` (`http://127.0.0.1:2583`). Nothing is sent yet. */
  static async create(origin, { alg = 'EdDSA', audience = origin } = {}) {
    const options = { extractable: true, ...(alg === 'RS256' ? { modulusLength: 4096 } : {}) }
    const { privateKey, publicKey } = await generateKeyPair(alg, options)
    const jwk = await exportJWK(publicKey)
    const thumbprint = await calculateJwkThumbprint(jwk)
    return new WelcomeMatAgent({ origin, audience, alg, privateKey, jwk, thumbprint })
  }

  constructor(parts) {
    Object.assign(this, parts)
  }

  /** A DPoP proof for one request. `overrides` replaces claims or header members, to make faulty ones. */
  async proof(method, url, { token, claims = {}, header = {} } = {}) {
    const target = new URL(url)
    const payload = {
      jti: randomUUID(),
      htm: method,
      htu: target.origin + target.pathname,
      iat: now(),
      ...(token === undefined ? {} : { ath: sha256url(token) }),
      ...claims,
    }
    return this.#sign(payload, { typ: 'dpop+jwt', jwk: this.jwk, ...header })
  }

  /** A self-signed access token that consents to the terms `tos` (their exact bytes). */
  async accessToken(tos, { claims = {}, header = {} } = {}) {
    const payload = {
      jti: randomUUID(),
      tos_hash: sha256url(tos),
      aud: this.audience,
      cnf: { jkt: this.thumbprint },
      iat: now(),
      ...claims,
    }
    return this.#sign(payload, { typ: 'wm+jwt', ...header })
  }

  /** Signs plain bytes with the agent's key, as the signup form asks for the terms. */
  async signBytes(bytes) {
    return base64url(await webcrypto.subtle.sign(RAW_SIGNING[this.alg], this.privateKey, bytes))
  }

  /** Reads the terms, signs them and asks for an account. Throws when the server refuses. */
  async enroll(handle, extra = {}) {
    const response = await this.tryEnroll(handle, extra)
    if (response.status !== 200) {
      throw new Error(`signup of ${handle} answered ${response.status}: ${response.text}`)
    }
    const { did, handle: full, access_token: token } = response.body
    Object.assign(this, { did, handle: full, token })
    return this
  }

  /** The same, but hands back `{status, body, text}` whatever the answer is. */
  async tryEnroll(handle, extra = {}) {
    const terms = await fetch(`${this.origin}/tos`)
    const tos = new Uint8Array(await terms.arrayBuffer())
    const url = `${this.origin}/api/signup`
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', dpop: await this.proof('POST', url) },
      body: JSON.stringify({
        handle,
        tos_signature: await this.signBytes(tos),
        access_token: await this.accessToken(tos),
        ...extra,
      }),
    })
    return readAnswer(response)
  }

  /** A `fetch` that signs. `path` may be a path on this server or a whole URL. */
  async fetch(path, init = {}) {
    const url = new URL(path, this.origin)
    const method = (init.method ?? 'GET').toUpperCase()
    const headers = new Headers(init.headers)
    headers.set('authorization', `DPoP ${this.token}`)
    headers.set('dpop', await this.proof(method, url, { token: this.token }))
    return fetch(url, { ...init, method, headers })
  }

  /** What `new Agent(...)` of `@atproto/api` takes: its session. */
  session() {
    return { did: this.did, fetchHandler: (path, init) => this.fetch(path, init) }
  }

  /** An XRPC query, unsigned, since reads are public. */
  query(nsid, params = {}) {
    return query(this.origin, nsid, params)
  }

  /** An XRPC procedure, signed. */
  async procedure(nsid, input) {
    const response = await this.fetch(`/xrpc/${nsid}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(input),
    })
    return readAnswer(response)
  }

  async #sign(payload, header) {
    return new SignJWT(payload).setProtectedHeader({ alg: this.alg, ...header }).sign(this.privateKey)
  }
}

/** An unsigned XRPC query that expects JSON. */
export async function query(origin, nsid, params = {}) {
  const url = new URL(`/xrpc/${nsid}`, origin)
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, String(value))
  return readAnswer(await fetch(url))
}

/** Takes in a response: status, headers, the text, and the JSON if it is JSON. */
export async function readAnswer(response) {
  const text = await response.text()
  let body
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  return { status: response.status, headers: response.headers, text, body }
}

let counter = 0
/** A handle nobody on this server has taken yet. */
export function freshHandle(prefix = 'agent') {
  counter += 1
  return `${prefix}-${Date.now().toString(36)}-${process.pid.toString(36)}-${counter}`
}
