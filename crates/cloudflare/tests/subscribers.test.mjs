// Subscribers that sleep with the Sequencer, or do not read. Needs `npm ci` in interop, and a built Worker.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import WebSocket from "ws";
import { WelcomeMatAgent, freshHandle } from "../../../interop/wm.mjs";
import { Runtime } from "./worker.mjs";

/** The runtime lets an object sleep after ten seconds. */
const ASLEEP = 15_000;
/** Together more than what a connection has below it holds. */
const LARGE = "x".repeat(900_000);
const EVENTS = 110;
const COLLECTION = "com.example.note";
let runtime, agent;

before(async () => {
  runtime = await Runtime.create();
  await runtime.start();
  agent = await WelcomeMatAgent.create(runtime.url);
  await agent.enroll(freshHandle());
});
after(() => runtime.remove());

/** A stream that keeps all that comes. */
async function subscribe(cursor) {
  const query = cursor === undefined ? "" : `?cursor=${cursor}`;
  const socket = new WebSocket(`ws://localhost:${runtime.port}/xrpc/com.atproto.sync.subscribeRepos${query}`, { perMessageDeflate: false });
  const frames = [];
  socket.on("message", (frame) => {
    frames.push(frame);
    socket.emit("frame");
  });
  await once(socket, "open");
  const until = async (count) => {
    while (frames.length < count) await once(socket, "frame");
    return frames;
  };
  return { socket, frames, until };
}

async function write(text) {
  const record = { $type: COLLECTION, text };
  const written = await agent.procedure("com.atproto.repo.putRecord", { repo: agent.did, collection: COLLECTION, rkey: "k", record });
  assert.equal(written.status, 200, written.text);
}

/** Transactions of the Sequencer since it woke. */
async function transactions() {
  return (await (await fetch(`${runtime.url}/xrpc/_health`)).json()).store.commits;
}

/** Memory of the runtime, in MB. */
async function resident() {
  const { pid } = runtime.child;
  const worker = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim();
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${worker}/status`, "utf8"))[1]) / 1000;
}

test("who listens while the Sequencer sleeps is sent what comes, once", async () => {
  for (let n = 0; n < 5; n++) await write(`before ${n}`);
  const all = await subscribe(0);
  const before = (await all.until(4 + 5)).length;
  const live = await subscribe();
  const awake = await transactions();
  await delay(ASLEEP);
  assert.ok((await transactions()) < awake, "it slept");
  await delay(ASLEEP);
  await write("after");
  await write("again");
  await live.until(2);
  await all.until(before + 2);
  const replayed = await subscribe(0);
  await replayed.until(before + 2);
  assert.deepEqual(all.frames, replayed.frames);
  assert.deepEqual(live.frames, replayed.frames.slice(before));
  for (const { socket } of [all, live, replayed]) socket.terminate();
});

test("who does not read holds up nobody, and misses nothing", async () => {
  const slow = await Promise.all(Array.from({ length: 8 }, () => subscribe()));
  for (const { socket } of slow) socket.pause();
  const live = await subscribe();
  const before = await resident();
  for (let n = 0; n < EVENTS; n++) await write(LARGE + n);
  await live.until(EVENTS);
  const old = await subscribe(0);
  await old.until(EVENTS);
  // All that they have not read is 800 MB.
  const more = (await resident()) - before;
  assert.ok(more < 500, `the runtime has ${more} MB more`);
  assert.ok(slow.every(({ frames }) => frames.length < EVENTS));
  for (const { socket } of slow) socket.resume();
  for (const { until } of slow) assert.deepEqual(await until(EVENTS), live.frames);
  for (const { socket } of [...slow, live, old]) socket.terminate();
});
