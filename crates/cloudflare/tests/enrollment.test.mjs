// Enrollments beside a directory of DIDs that does not answer, in a runtime that is killed: a key comes to one account, a handle
// to one key, whatever was done and not yet told when the end came. Needs `npm ci` in interop, and a built Worker.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { startFaultyProxy, startPlcDirectory } from "../../../interop/servers.mjs";
import { WelcomeMatAgent, freshHandle } from "../../../interop/wm.mjs";
import { Runtime } from "./worker.mjs";

/** Kills at moments that are not chosen. */
const ROUNDS = Number(process.env.ROUNDS ?? 12);
let plc, proxy, worker;

const origin = () => worker.url;
const newcomer = () => WelcomeMatAgent.create(origin());

/** An enrollment that nobody will hear the answer of. */
const unheard = (agent, handle) => agent.tryEnroll(handle).catch(() => undefined);

async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function resolved(handle) {
  const answer = await fetch(`${origin()}/xrpc/com.atproto.identity.resolveHandle?handle=${handle}`);
  return answer.ok ? (await answer.json()).did : undefined;
}

/** The account writes and is read, by DID and by handle. */
async function assertWorks(agent) {
  assert.equal(await resolved(agent.handle), agent.did);
  const record = { $type: "com.example.post", text: "hello" };
  const input = { repo: agent.did, collection: "com.example.post", record };
  const written = await agent.procedure("com.atproto.repo.createRecord", input);
  assert.equal(written.status, 200, written.text);
  for (const repo of [agent.did, agent.handle]) {
    const read = await agent.query("com.atproto.repo.listRecords", { repo, collection: "com.example.post" });
    assert.equal(read.status, 200, read.text);
    assert.ok(read.body.records.some(({ uri }) => uri === written.body.uri));
  }
}

/** Changes rows of the directory of accounts, while nothing runs. */
async function editDirectory(sql, ...params) {
  const folder = join(worker.stored, "directory");
  const files = await readdir(folder, { recursive: true });
  for (const file of files.filter((name) => name.endsWith(".sqlite") && !name.includes("metadata"))) {
    const database = new DatabaseSync(join(folder, file));
    const has = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'entry'").get();
    const changes = has ? database.prepare(sql).run(...params).changes : 0;
    database.close();
    if (has) return changes;
  }
  throw new Error("there is no directory of accounts");
}

before(async () => {
  plc = await startPlcDirectory();
  proxy = await startFaultyProxy(plc.url);
  worker = await Runtime.create({ args: ["--plc-url", proxy.url] });
  await worker.start();
});
after(async () => {
  await worker.remove();
  await proxy.stop();
  await plc.stop();
});

test("of two keys that race for a handle one gets it, and the other another", async () => {
  for (let round = 0; round < 5; round += 1) {
    const handle = freshHandle();
    const agents = await Promise.all([newcomer(), newcomer()]);
    const answers = await Promise.all(agents.map((agent) => agent.tryEnroll(handle)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409], answers.map(({ text }) => text).join());
    const [won, lost] = answers[0].status === 200 ? agents : agents.toReversed();
    await assertWorks(await won.enroll(handle));
    await assertWorks(await lost.enroll(freshHandle()));
    assert.notEqual(won.did, lost.did);
  }
});

test("after an end between the claim and the registration the key goes on with its DID, and the handle is held", async () => {
  const [handle, agent, other] = [freshHandle(), await newcomer(), await newcomer()];
  proxy.set(({ method }) => (method === "POST" ? "hang" : undefined));
  const pending = unheard(agent, handle);
  await until(() => proxy.posts().length > 0);
  const { path } = proxy.posts()[0];
  await worker.kill();
  await pending;
  proxy.set(() => undefined);
  await worker.start();

  assert.equal(await resolved(`${handle}.test`), undefined, "a claim gives a handle to nobody");
  const refused = await other.tryEnroll(handle);
  assert.deepEqual([refused.status, refused.body.error], [409, "HandleTaken"]);
  await agent.enroll(handle);
  assert.equal(`/${agent.did}`, path);
  await assertWorks(agent);
});

test("after an end when the DID is registered and not yet known to be, it is registered once", async () => {
  const [handle, agent] = [freshHandle(), await newcomer()];
  // The operation arrives and its answer is lost; all that is asked about it after that hangs.
  proxy.set(({ method, attempt }) => (method === "POST" && attempt === 0 ? "lost" : "hang"));
  const pending = unheard(agent, handle);
  await until(() => proxy.posts().length > 1);
  const did = proxy.posts()[0].path.slice(1);
  await worker.kill();
  await pending;
  proxy.set(() => undefined);
  await worker.start();

  await agent.enroll(handle);
  assert.equal(agent.did, did);
  const log = await (await fetch(`${plc.url}/${did}/log/audit`)).json();
  assert.equal(log.length, 1);
  await assertWorks(agent);
});

test("a claim that has run out is anybody's, and whose it was is told so", async () => {
  const [handle, agent, other] = [freshHandle(), await newcomer(), await newcomer()];
  proxy.set(({ method }) => (method === "POST" ? "hang" : undefined));
  const pending = unheard(agent, handle);
  await until(() => proxy.posts().length > 0);
  await worker.kill();
  await pending;
  const changes = await editDirectory("UPDATE entry SET held_until = 1 WHERE thumbprint = ?1", agent.thumbprint);
  assert.equal(Number(changes), 1);
  proxy.set(() => undefined);
  await worker.start();

  await assertWorks(await other.enroll(handle));
  const refused = await agent.tryEnroll(handle);
  assert.deepEqual([refused.status, refused.body.error], [409, "HandleTaken"]);
  await assertWorks(await agent.enroll(freshHandle()));
  assert.equal(await resolved(other.handle), other.did);
});

test("after an end at any moment the key has one account, and the handle one key", async () => {
  const ends = new Set();
  for (let round = 0; round < ROUNDS; round += 1) {
    const [handle, agent, other] = [freshHandle(), await newcomer(), await newcomer()];
    // Posts are counted from here: those of the round before are not this one's.
    proxy.set(() => undefined);
    let heard;
    const pending = unheard(agent, handle).then((answer) => (heard = answer));
    // Most enrollments take as long as this goes up to.
    await new Promise((resolve) => setTimeout(resolve, (round % 12) * 6));
    await worker.kill();
    await pending;
    const posts = proxy.posts().map(({ path }) => path);
    assert.ok(posts.length <= 1, posts.join());
    ends.add(heard ? "answered" : posts.length ? "sent to the directory" : "before that");
    await worker.start();

    const early = await other.tryEnroll(handle);
    if (early.status === 200) {
      assert.equal(heard, undefined, "what was acknowledged is kept");
      assert.deepEqual(posts, [], "a handle is claimed before its DID is registered");
      const late = await agent.tryEnroll(handle);
      assert.equal(late.status, 409, late.text);
      continue;
    }
    assert.equal(early.status, 409, early.text);
    await agent.enroll(handle);
    if (heard?.status === 200) assert.equal(agent.did, heard.body.did);
    if (posts.length) assert.equal(`/${agent.did}`, posts[0], "the DID that was registered is the account's");
    await assertWorks(agent);
  }
  assert.ok(ends.size > 1, `ends at different moments: ${[...ends]}`);
});
