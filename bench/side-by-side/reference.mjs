// Starts the reference PDS and a directory for it, both on loopback: node reference.mjs DATA [PORT]
// Prints the URL and the process to measure. Ends both on SIGINT or SIGTERM.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import plc from '@did-plc/server'

const [data, port = '2583'] = process.argv.slice(2)
if (!data) throw new Error('say where its data goes: node reference.mjs DATA [PORT]')
const directoryPort = Number(port) + 1
const folder = (name) => {
  const path = join(resolve(data), name)
  mkdirSync(path, { recursive: true })
  return path
}

// The directory keeps everything in memory, which is cheaper than what a real one costs.
const directory = plc.PlcServer.create({ db: plc.Database.mock(), port: directoryPort })
await directory.start()

const secret = () => randomBytes(32).toString('hex')
const env = {
  ...process.env,
  NODE_ENV: 'production',
  LOG_ENABLED: 'false',
  PDS_DEV_MODE: 'true',
  PDS_HOSTNAME: 'localhost',
  PDS_PORT: port,
  PDS_DATA_DIRECTORY: folder('data'),
  PDS_BLOBSTORE_DISK_LOCATION: folder('blobs'),
  PDS_BLOBSTORE_DISK_TMP_LOCATION: folder('tmp'),
  PDS_DID_PLC_URL: `http://localhost:${directoryPort}`,
  PDS_SERVICE_HANDLE_DOMAINS: '.test',
  PDS_INVITE_REQUIRED: 'false',
  PDS_DISABLE_SSRF_PROTECTION: 'true',
  // Neither server limits rates while it is measured.
  PDS_RATE_LIMITS_ENABLED: 'false',
  PDS_BSKY_APP_VIEW_URL: 'https://appview.invalid',
  PDS_BSKY_APP_VIEW_DID: 'did:web:appview.invalid',
  PDS_JWT_SECRET: secret(),
  PDS_ADMIN_PASSWORD: secret(),
  PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: secret(),
}
const started = performance.now()
const pds = spawn(process.execPath, [join(import.meta.dirname, 'pds.mjs')], { env, stdio: 'inherit' })
const end = async (status) => {
  pds.kill()
  await directory.destroy()
  process.exit(status)
}
pds.on('exit', () => end(1))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => end(0))

const url = `http://localhost:${port}`
const answers = async () => {
  try {
    return (await fetch(`${url}/xrpc/_health`)).ok
  } catch {
    return false
  }
}
while (!(await answers())) await sleep(20)
console.log(`ready after ${Math.round(performance.now() - started)} ms: --url ${url} --pid ${pds.pid} --sessions`)
