// Relays: when they are told of the Worker, and what it remembers of that when it sleeps or is killed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { WelcomeMatAgent, freshHandle } from "../../../interop/wm.mjs";
import { Runtime } from "./worker.mjs";

/** A relay that cannot be reached at first, and counts what it is asked. */
const relay = { crawls: [], statuses: 0, failures: 1 };
let server, worker, agent;

before(async () => {
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const answer = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const { pathname, searchParams } = new URL(request.url, "http://relay");
    if (request.method === "POST" && pathname === "/xrpc/com.atproto.sync.requestCrawl") {
      if (relay.failures-- > 0) return answer(503, { error: "Unavailable" });
      relay.crawls.push(JSON.parse(text));
      return answer(200, {});
    }
    if (pathname !== "/xrpc/com.atproto.sync.getHostStatus") return answer(404, { error: "NotFound" });
    answer(200, { hostname: searchParams.get("hostname"), status: "active", seq: ++relay.statuses, accountCount: 1 });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const env = { ROOKERY_RELAY_HOSTS: `http://127.0.0.1:${server.address().port}`, ROOKERY_RELAY_ACCOUNT_CAP: "1" };
  worker = await Runtime.create({ env });
  await worker.start();
});
after(async () => {
  await worker?.remove();
  server.close();
});

const health = async () => (await fetch(`${worker.url}/xrpc/_health`)).json();

/** `_health` as it is once the relay was read for the `times`th time: what is told there is in the store. */
async function readStatus(times) {
  for (;;) {
    const told = await health();
    if (told.relays[0].seq >= times) return told;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function write() {
  const record = { $type: "com.example.post", text: "hello" };
  const answer = await agent.procedure("com.atproto.repo.createRecord", { repo: agent.did, collection: "com.example.post", record });
  assert.equal(answer.status, 200, answer.text);
}

/** Kills the Worker, changes what it has kept of the relay, and starts it again. */
async function restart(change) {
  await worker.kill();
  const folder = join(worker.stored, "objects");
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".sqlite"));
  let changed = 0;
  for (const name of files) {
    const database = new DatabaseSync(join(folder, name));
    if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'told_relay'").get()) {
      const { state } = database.prepare("SELECT state FROM told_relay").get();
      const kept = JSON.parse(state);
      change(kept);
      database.prepare("UPDATE told_relay SET state = ?1").run(JSON.stringify(kept));
      changed += 1;
    }
    database.close();
  }
  assert.equal(changed, 1);
  await worker.start();
}

test("a relay is asked for a crawl once there is an account, and again when it fails", { timeout: 60_000 }, async () => {
  const before = await health();
  assert.deepEqual(before.accounts, { active: 0, relayCap: 1 });
  assert.equal(relay.failures, 1, "there is nothing to crawl");
  agent = await (await WelcomeMatAgent.create(worker.url)).enroll(freshHandle());
  const told = await readStatus(1);
  assert.deepEqual(relay.crawls, [{ hostname: `localhost:${worker.port}` }]);
  const { lastCrawl, ...rest } = told.relays[0];
  assert.match(lastCrawl, /^20.*Z$/);
  assert.deepEqual(rest, { host: `http://127.0.0.1:${server.address().port}`, status: "active", seq: 1, accounts: 1 });
  assert.equal(told.accounts.active, 1);
  assert.match(told.accounts.warning, /ROOKERY_RELAY_ACCOUNT_CAP/);
});

test("a relay that was asked is not asked again by a start and a write", { timeout: 60_000 }, async () => {
  await restart((kept) => (kept.schedule.status_at = { secs: 0, nanos: 0 }));
  assert.equal((await health()).relays[0].status, "active", "it is remembered");
  await write();
  await readStatus(2);
  assert.equal(relay.crawls.length, 1);
});

test("a write is told when the relay was asked more than twenty minutes ago", { timeout: 60_000 }, async () => {
  await restart((kept) => {
    kept.elapsed.wall -= 21 * 60 * 1_000_000;
    // Nor has it been quiet for so long that this alone is a reason.
    kept.quiet_since = null;
  });
  await write();
  await readStatus(3);
  assert.equal(relay.crawls.length, 2);
});
