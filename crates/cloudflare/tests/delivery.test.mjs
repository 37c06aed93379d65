// Events on their way from accounts to the firehose, while what carries them fails or is killed. All that was acknowledged is
// there afterwards, and the firehose tells of everything that is there, once: the testkit writes, and looks.
//
// Needs a built Worker, and the testkit's program (TESTKIT, or where cargo puts it).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, rename } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { BUILT, Runtime, path } from "./worker.mjs";

/** Kills at moments that are not chosen. */
const ROUNDS = Number(process.env.ROUNDS ?? 5);
/** How long agents write while deliveries go wrong, in milliseconds. */
const WHILE = Number(process.env.WHILE ?? 20_000);
const TESTKIT = process.env.TESTKIT ?? path("../../../target/debug/rookery-testkit");
let runtime;

const testkit = (option, stdin) =>
  spawn(TESTKIT, [runtime.url, option, join(runtime.data, "acknowledged")], { stdio: [stdin, "pipe", "inherit"] });

/** Agents that write until what is returned is called. */
async function write() {
  const writers = testkit("--write", "pipe");
  const ended = once(writers, "exit");
  for await (const line of createInterface(writers.stdout)) if (line === "writing") break;
  return async () => {
    writers.stdin.end();
    assert.deepEqual(await ended, [0, null], "what the writers saw was expected");
  };
}

/** Looks for all that was acknowledged, in the stores and in the firehose. */
async function verify() {
  assert.deepEqual(await once(testkit("--verify", "ignore"), "exit"), [0, null]);
}

beforeEach(async () => (runtime = await Runtime.create()));
afterEach(() => runtime.remove());

test("what was acknowledged before the runtime was killed is told after it", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await runtime.start();
    const stop = await write();
    await delay(1_000 + Math.random() * 2_000);
    await runtime.kill();
    await stop();
  }
  await runtime.start();
  await verify();
});

test("deliveries that are refused, lost, doubled or late, to a Sequencer that dies, change nothing", async () => {
  const worker = join(runtime.data, "worker");
  await cp(BUILT, worker, { recursive: true });
  await rename(join(worker, "entry.js"), join(worker, "worker.js"));
  await cp(path("faulty.js"), join(worker, "entry.js"));
  const fates = new Set();
  await runtime.start(worker, (line) => line.startsWith("fate: ") && fates.add(line));
  const stop = await write();
  await delay(WHILE);
  await stop();
  assert.equal(fates.size, 8, `these came about: ${[...fates]}`);
  await runtime.kill();
  await runtime.start();
  await verify();
});
