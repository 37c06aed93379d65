// Starts the servers a test needs, each on a free port of the loopback interface, and ends them by what it started.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import plc from '@did-plc/server'

/** The server under test. `run.sh` starts it and names it here. */
export function rookeryUrl() {
  const url = process.env.ROOKERY_URL
  if (!url) throw new Error('ROOKERY_URL is not set: start a server, or use run.sh, which does')
  return url.replace(/\/$/, '')
}

/** A port that was free a moment ago. */
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

/** How each host is started. */
const HOSTS = {
  /** The binary in `ROOKERY_BIN`. */
  native(port, data) {
    const binary = process.env.ROOKERY_BIN
    if (!binary) throw new Error('ROOKERY_BIN is not set: the path of the rookery binary')
    return { command: [binary, 'serve', '--listen', `127.0.0.1:${port}`, '--data-dir', data] }
  },
  /** The Worker as it was built last, on workerd. Its database of handles is not there yet when it answers for the first time. */
  workers(port, data) {
    const dev = fileURLToPath(new URL('../crates/cloudflare/dev', import.meta.url))
    return { command: [dev, '--port', port, '--data-dir', data], says: /^Rookery serves/m }
  },
}

/** Starts a server of its own on an empty data directory, with `env` on top: by default on the host that `run.sh` was told. */
export async function startRookery(env = {}, host = process.env.ROOKERY_INTEROP_HOST ?? 'native') {
  const port = await freePort()
  const data = await mkdtemp(join(tmpdir(), 'rookery-interop-'))
  const { command, says = /^/ } = HOSTS[host](port, data)
  const [program, ...args] = command.map(String)
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk))
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    await rm(data, { recursive: true, force: true })
  }
  const deadline = Date.now() + 30_000
  while (!says.test(log) || !(await answers(`${url}/xrpc/_health`))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop()
      throw new Error(`rookery (${host}) did not start:\n${log}`)
    }
    await delay(50)
  }
  return { url, stop, log: () => log }
}

const answers = (url) =>
  fetch(url).then(
    (response) => response.ok,
    () => false,
  )

/**
 * Starts `s3s-fs` (the binary in `S3S_FS`), a server of the S3 protocol, with one bucket, `blobs`. `files` lists the
 * objects in it; `restart` goes on with what is there, at the same address, after `halt`.
 */
export async function startBucket() {
  const binary = process.env.S3S_FS
  if (!binary) throw new Error('S3S_FS is not set: the path of an s3s-fs binary; run.sh installs one')
  const root = await mkdtemp(join(tmpdir(), 'rookery-bucket-'))
  const bucket = join(root, 'blobs')
  await mkdir(bucket)
  const port = await freePort()
  const keys = { id: 'test-access-key', secret: 'test-secret-key' }
  let child
  const halt = async () => {
    if (child && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
  const restart = async () => {
    const options = ['--host', '127.0.0.1', '--port', port, '--access-key', keys.id, '--secret-key', keys.secret]
    child = spawn(binary, [...options.map(String), root], { stdio: 'ignore' })
    const deadline = Date.now() + 30_000
    // Any answer will do: without a signature it is a refusal.
    while (!(await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false))) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error('s3s-fs did not start')
      await delay(50)
    }
  }
  await restart()
  const files = async () => {
    const entries = await readdir(bucket, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  }
  const stop = async () => {
    await halt()
    await rm(root, { recursive: true, force: true })
  }
  return { url: `http://127.0.0.1:${port}`, keys, files, halt, restart, stop }
}

/** Starts the real PLC directory server with its in-memory database. Its own `start` would listen on every interface. */
export async function startPlcDirectory() {
  const { app } = plc.PlcServer.create({ db: plc.Database.mock() })
  return listen(createServer(app))
}

/** Lets a server listen on a free loopback port; answers where it is and how to end it. */
async function listen(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { url: `http://127.0.0.1:${server.address().port}`, stop }
}

/**
 * Stands between Rookery and a directory at `upstream` and misbehaves. `plan(request)` names the fault for a request,
 * `{method, path, attempt}` (attempt counts POSTs from 0 since `reset`):
 * - a number: that status, with nothing done;
 * - `hang`: no answer ever; `reset`: the connection ends;
 * - `lost`: the directory gets the request and does it, but its answer is lost on the way back;
 * - undefined: passed on.
 */
export async function startFaultyProxy(upstream) {
  const state = { plan: () => undefined, posts: [] }
  const handle = async (request, response) => {
    const body = []
    for await (const chunk of request) body.push(chunk)
    const { method, url: path } = request
    const attempt = state.posts.length
    if (method === 'POST') state.posts.push({ path, at: Date.now() })
    const fault = state.plan({ method, path, attempt })
    if (typeof fault === 'number') {
      response.writeHead(fault, { 'content-type': 'application/json', 'retry-after': '0' })
      return response.end('{"message":"injected fault"}')
    }
    if (fault === 'hang') return undefined
    if (fault === 'reset') return request.socket.destroy()
    const answer = await fetch(new URL(path, upstream), {
      method,
      headers: { 'content-type': request.headers['content-type'] ?? 'application/json' },
      ...(method === 'POST' ? { body: Buffer.concat(body) } : {}),
    })
    const text = await answer.text()
    if (fault === 'lost') return request.socket.destroy()
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
    return response.end(text)
  }
  const server = createServer((request, response) => handle(request, response).catch(() => request.socket.destroy()))
  const { url, stop } = await listen(server)
  return {
    url,
    stop,
    posts: () => state.posts,
    /** Changes what goes wrong from now on and counts attempts anew. */
    set(plan) {
      state.plan = plan
      state.posts = []
    },
  }
}
