// What the edge does with requests: which it hands on, and what it counts.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { WelcomeMatAgent, freshHandle } from "../../../interop/wm.mjs";
import { Runtime } from "./worker.mjs";

const CREATE = "/xrpc/com.atproto.repo.createRecord";
const DESCRIBE = "/xrpc/com.atproto.repo.describeRepo?repo=";
const NOT_HERE = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
let worker, agent;

before(async () => {
  worker = await Runtime.create({ env: { ROOKERY_RATE_LIMITS: "on" } });
  await worker.start();
  agent = await (await WelcomeMatAgent.create(worker.url)).enroll(freshHandle());
});
after(() => worker.remove());

/** Sends a path as it is written: `fetch` would resolve its dots. */
function send(method, path) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port: worker.port, method, path }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode, body: JSON.parse(text) });
    });
    sent.once("error", reject);
    sent.end();
  });
}

/** As the platform would tell of who is connected. */
const from = (address, path, init = {}) =>
  fetch(worker.url + path, { ...init, headers: { ...init.headers, "cf-connecting-ip": address } });

const left = (response) => Number(response.headers.get("ratelimit-remaining"));

test("the paths by which objects call each other are closed", async () => {
  for (const [method, path] of [
    ["POST", "/deliver"],
    ["GET", "/list?after=0&limit=1"],
    ["GET", "/by-collection?collection=com.example.post&after=0&limit=1"],
    ["GET", "//list?after=0&limit=1"],
    ["GET", "/%6cist?after=0&limit=1"],
    ["GET", "http://sequencer/list?after=0&limit=1"],
    ["GET", "/xrpc/_health/../../list?after=0&limit=1"],
    ["GET", "/did:plc:x/../list?after=0&limit=1"],
  ]) {
    const { status, body } = await send(method, path);
    assert.match(`${status} ${body.error}`, /^(404 NotFound|501 MethodNotImplemented)$/, `${method} ${path}`);
  }
});

test("a path with dots is not another one where it arrives", async () => {
  for (const [method, path] of [
    ["POST", "/did:plc:x/../api/signup"],
    ["GET", "/did:plc:x/../xrpc/com.atproto.sync.listRepos"],
    ["GET", "/did:plc:x/../xrpc/com.atproto.server.describeServer"],
    ["GET", "/did:plc:x/%2e%2e/tos"],
  ]) {
    const { status, body } = await send(method, path);
    assert.deepEqual([status, body.error], [404, "NotFound"], `${method} ${path}`);
  }
  assert.match((await send("GET", `/${NOT_HERE}`)).body.message, /^DID not registered/);
  assert.equal((await send("GET", `/${agent.did.replaceAll(":", "%3A")}`)).body.id, agent.did);
});

test("an address is charged once for each request, whoever answers it", async () => {
  const address = "203.0.113.1";
  for (const [path, status] of [["/tos", 200], [DESCRIBE + agent.did, 200], [DESCRIBE + NOT_HERE, 400], [`/${agent.did}`, 200]]) {
    const first = await from(address, path);
    const second = await from(address, path);
    assert.deepEqual([first.status, second.status], [status, status], path);
    assert.equal(left(first) - left(second), 1, path);
  }
  const other = await from("203.0.113.2", "/tos");
  assert.equal(left(other) + 1, Number(other.headers.get("ratelimit-limit")));
});

test("an export is not one of the reads, and comes as what it is", async () => {
  const before = left(await from("203.0.113.3", "/tos"));
  const car = await from("203.0.113.3", `/xrpc/com.atproto.sync.getRepo?did=${agent.did}`);
  assert.equal(car.headers.get("content-type"), "application/vnd.ipld.car");
  assert.ok((await car.arrayBuffer()).byteLength > 0);
  assert.equal(before - left(await from("203.0.113.3", "/tos")), 1);
});

test("failed authentications count for the address, and are refused in words that any origin may read", async () => {
  const fail = async (address) => {
    const headers = { "content-type": "application/json", authorization: "DPoP x.y.z" };
    headers.dpop = await agent.proof("POST", worker.url + CREATE, { token: "wrong" });
    return from(address, CREATE, { method: "POST", headers, body: "{}" });
  };
  for (let failed = 0; failed < 300; failed += 1) assert.equal((await fail("203.0.113.4")).status, 401);
  const refused = await fail("203.0.113.4");
  assert.deepEqual([refused.status, (await refused.json()).error], [429, "RateLimitExceeded"]);
  assert.equal(refused.headers.get("access-control-allow-origin"), "*");
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.equal((await fail("203.0.113.5")).status, 401, "another address");
});
