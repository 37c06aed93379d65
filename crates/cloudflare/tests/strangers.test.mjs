// Keys that nobody has: each names an object, and none is to be more than a name before its key has signed something.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { WelcomeMatAgent, freshHandle } from "../../../interop/wm.mjs";
import { Runtime } from "./worker.mjs";

let worker;
before(async () => {
  worker = await Runtime.create({ env: { ROOKERY_COUNTERS: "on" } });
  await worker.start();
});
after(() => worker?.remove());

/** An enrollment with a proof of the test's own making. */
async function enroll(agent, proof) {
  const tos = new Uint8Array(await (await fetch(`${worker.url}/tos`)).arrayBuffer());
  const body = { handle: freshHandle(), tos_signature: await agent.signBytes(tos), access_token: await agent.accessToken(tos) };
  const response = await fetch(`${worker.url}/api/signup`, {
    method: "POST",
    headers: { "content-type": "application/json", dpop: proof },
    body: JSON.stringify(body),
  });
  const written = /written=(\d+)$/.exec(response.headers.get("rookery-rows"));
  return { status: response.status, body: await response.json(), written: Number(written[1]) };
}

/** How many account objects have a schema. The Worker is not running. */
function accounts() {
  const folder = join(worker.stored, "objects");
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true }) : [];
  return files.filter((name) => /Account.*\.sqlite$/.test(name)).filter((name) => {
    const database = new DatabaseSync(join(folder, name));
    const found = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get();
    database.close();
    return found;
  }).length;
}

test("a key that has not signed its proof leaves its object empty, and one that has enrolls", { timeout: 60_000 }, async () => {
  const agent = await WelcomeMatAgent.create(worker.url);
  const signup = `${worker.url}/api/signup`;
  const good = await agent.proof("POST", signup);
  const [head, claims, signature] = good.split(".");
  const forged = [head, claims, (signature[0] === "A" ? "B" : "A") + signature.slice(1)].join(".");
  const faults = [
    ["a forged signature", forged],
    ["another's signature", [head, claims, (await (await WelcomeMatAgent.create(worker.url)).proof("POST", signup)).split(".")[2]].join(".")],
    ["another path", await agent.proof("POST", `${worker.url}/api/other`)],
    ["an old proof", await agent.proof("POST", signup, { claims: { iat: 1 } })],
  ];
  for (const [what, proof] of faults) {
    const { status, body, written } = await enroll(agent, proof);
    assert.equal(`${status} ${body.error}`, "401 AuthFailed", what);
    assert.equal(written, 0, what);
  }
  await worker.kill();
  assert.equal(accounts(), 0);

  await worker.start();
  const enrolled = await enroll(agent, await agent.proof("POST", signup));
  assert.equal(enrolled.status, 200, JSON.stringify(enrolled.body));
  assert.ok(enrolled.written > 0);
  await worker.kill();
  assert.equal(accounts(), 1);

  await worker.start();
  const again = await enroll(agent, await agent.proof("POST", signup));
  assert.equal(again.body.did, enrolled.body.did, "it is found after a restart");
  const stranger = await enroll(agent, forged);
  assert.deepEqual([stranger.status, stranger.written], [401, 0]);
});
