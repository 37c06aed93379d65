// The statements of the directory of accounts, on SQLite, at times that are made up.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";

const sql = (name) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
const NOW = 1_000;

function directory() {
  const database = new DatabaseSync(":memory:");
  database.exec(sql("migrations/0001_entry.sql"));
  const statement = (name) => database.prepare(sql(`src/d1/${name}.sql`));
  // ?1, ?2 ... are numbered, and so are the parameters here.
  const run = (name, ...params) => statement(name).run(...params);
  const has = (key, handle) => statement("has").get(key, `did:${key}`, handle) !== undefined;
  return {
    claim: (key, handle, { now = NOW, until = now + 120 } = {}) => {
      run("claim", key, `did:${key}`, handle, until, now);
      return has(key, handle);
    },
    settle: (key, handle, { now = NOW } = {}) => {
      run("settle", key, `did:${key}`, handle, now);
      return has(key, handle);
    },
    release: (key) => run("release", `did:${key}`),
    rows: () => database.prepare("SELECT thumbprint, handle, held_until FROM entry ORDER BY thumbprint").all().map((row) => ({ ...row })),
  };
}

test("a handle is one key's while its claim lasts, and anybody's after that", () => {
  const d = directory();
  assert.equal(d.claim("a", "x"), true);
  assert.equal(d.claim("b", "x", { now: NOW + 119 }), false);
  assert.deepEqual(d.rows(), [{ thumbprint: "a", handle: "x", held_until: NOW + 120 }]);
  assert.equal(d.claim("b", "x", { now: NOW + 120 }), true);
  assert.deepEqual(d.rows(), [{ thumbprint: "b", handle: "x", held_until: NOW + 240 }]);
});

test("claiming again moves the time, or the handle", () => {
  const d = directory();
  d.claim("a", "x");
  assert.equal(d.claim("a", "x", { now: NOW + 60 }), true);
  assert.deepEqual(d.rows(), [{ thumbprint: "a", handle: "x", held_until: NOW + 180 }]);
  assert.equal(d.claim("a", "y"), true);
  assert.equal(d.claim("b", "x"), true, "the key has given it up");
});

test("a refused claim leaves the key what it had", () => {
  const d = directory();
  d.claim("a", "x");
  d.claim("b", "y");
  assert.equal(d.claim("b", "x"), false);
  assert.deepEqual(d.rows().map((row) => row.handle), ["x", "y"]);
});

test("what is settled stays, whoever claims, settles or releases", () => {
  const d = directory();
  d.claim("a", "x");
  assert.equal(d.settle("a", "x"), true);
  const settled = [{ thumbprint: "a", handle: "x", held_until: null }];
  assert.equal(d.claim("a", "x"), true, "a late request of the key finds its account");
  assert.equal(d.claim("a", "y"), false);
  assert.equal(d.claim("b", "x", { now: NOW + 1e9 }), false);
  assert.equal(d.settle("a", "x", { now: NOW + 1e9 }), true);
  d.release("a");
  assert.deepEqual(d.rows(), settled);
});

test("an account is settled without its claim", () => {
  const d = directory();
  assert.equal(d.settle("a", "x"), true, "it is gone");
  d.claim("b", "y");
  assert.equal(d.settle("b", "y", { now: NOW + 500 }), true, "it has run out");
  d.claim("c", "z");
  assert.equal(d.settle("d", "z", { now: NOW + 500 }), true, "another's has run out");
  assert.deepEqual(d.rows().map((row) => [row.thumbprint, row.handle]), [["a", "x"], ["b", "y"], ["d", "z"]]);
});

test("an account whose handle went to another key is settled without one, for good", () => {
  for (const settles of [true, false]) {
    const d = directory();
    d.claim("a", "x");
    d.claim("b", "x", { now: NOW + 200 });
    if (settles) d.settle("b", "x", { now: NOW + 200 });
    assert.equal(d.settle("a", "x", { now: NOW + 200 }), false);
    assert.deepEqual(d.rows()[0], { thumbprint: "a", handle: null, held_until: null });
    assert.equal(d.settle("a", "x", { now: NOW + 1e6 }), false, "also when the other's claim has run out since");
    assert.equal(d.settle("b", "x", { now: NOW + 200 }), true);
  }
});

test("a claim is released, and only that", () => {
  const d = directory();
  d.claim("a", "x");
  d.release("b");
  assert.equal(d.rows().length, 1);
  d.release("a");
  d.release("a");
  assert.deepEqual(d.rows(), []);
  assert.equal(d.claim("b", "x"), true);
});
