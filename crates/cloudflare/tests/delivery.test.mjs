// Events on their way from accounts to the firehose, while what carries them fails or is killed. All that was acknowledged is
// there afterwards, and the firehose tells of everything that is there, once: the testkit writes, and looks.
//
// Needs a built Worker, and the testkit's program (TESTKIT, or as cargo builds it).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

/** Kills at moments that are not chosen. */
const ROUNDS = Number(process.env.ROUNDS ?? 5);
/** How long agents write while deliveries go wrong, in milliseconds. */
const WHILE = Number(process.env.WHILE ?? 20_000);
const path = (relative) => new URL(relative, import.meta.url).pathname;
const TESTKIT = process.env.TESTKIT ?? path("../../../target/debug/rookery-testkit");
const WORKER = path("../../../target/worker");
const fates = new Set();
let data, port, runtime;

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Starts a Worker on what is stored, and waits until it serves. */
async function start(worker = WORKER) {
  const options = ["--port", String(port), "--data-dir", join(data, "stored")];
  const env = { ...process.env, ROOKERY_RATE_LIMITS: "off", ROOKERY_LOG: process.env.ROOKERY_LOG ?? "error", WORKER_DIR: worker };
  runtime = spawn(path("../dev"), options, { env, stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface(runtime.stdout);
  await new Promise((resolve, reject) => {
    runtime.once("exit", () => reject(new Error("the Worker did not start")));
    lines.on("line", (line) => {
      if (line.startsWith("Rookery serves")) resolve();
      if (line.startsWith("fate: ")) fates.add(line.slice("fate: ".length));
    });
  });
}

/** Ends it with no chance to do anything more. */
async function kill() {
  if (!runtime) return;
  const gone = once(runtime, "exit");
  runtime.kill("SIGKILL");
  await gone;
  runtime = undefined;
  // The runtime goes with whoever started it, a moment later.
  while (await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false));
}

const testkit = (option, stdin) =>
  spawn(TESTKIT, [`http://localhost:${port}`, option, join(data, "acknowledged")], { stdio: [stdin, "pipe", "inherit"] });

/** Agents that write until `stop` is called. */
async function write() {
  const writers = testkit("--write", "pipe");
  const ended = once(writers, "exit");
  for await (const line of createInterface(writers.stdout)) if (line === "writing") break;
  return async () => {
    writers.stdin.end();
    assert.deepEqual(await ended, [0, null], "what the writers saw was expected");
  };
}

/** Looks for all that was acknowledged, in the store and in the firehose. */
async function verify() {
  const [code] = await once(testkit("--verify", "ignore"), "exit");
  assert.equal(code, 0);
}

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "rookery-delivery-"));
  port = await freePort();
});

afterEach(async () => {
  await kill();
  await rm(data, { recursive: true, force: true });
});

test("what was acknowledged before the runtime was killed is told after it", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await start();
    const stop = await write();
    await delay(1_000 + Math.random() * 2_000);
    await kill();
    await stop();
  }
  await start();
  await verify();
});

test("deliveries that are refused, lost, doubled or late, to a Sequencer that dies, change nothing", async () => {
  const worker = join(data, "worker");
  await cp(WORKER, worker, { recursive: true });
  await rename(join(worker, "entry.js"), join(worker, "worker.js"));
  await cp(path("faulty.js"), join(worker, "entry.js"));
  await start(worker);
  const stop = await write();
  await delay(WHILE);
  await stop();
  assert.equal(fates.size, 8, `${[...fates]} came about`);
  await kill();
  await start();
  await verify();
});
