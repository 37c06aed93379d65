// Miniflare around target/worker, set up as wrangler.toml says. `dev` starts it.

import { Miniflare, Log, LogLevel } from "miniflare";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import workerd from "workerd";

const here = dirname(fileURLToPath(import.meta.url));
const worker = resolve(process.env.WORKER_DIR ?? join(here, "../../target/worker"));
const { values: args } = parseArgs({
  options: { port: { type: "string", default: "8787" }, "data-dir": { type: "string", default: "data" }, "plc-url": { type: "string" } },
});
const [port, dir] = [Number(args.port), resolve(args["data-dir"])];

/** The key that private keys are sealed under, made once. */
function masterKey() {
  const path = join(dir, "master.key");
  if (!existsSync(path)) {
    writeFileSync(path + ".new", randomBytes(32).toString("hex") + "\n", { mode: 0o600, flush: true });
    renameSync(path + ".new", path);
  }
  return readFileSync(path, "utf8").trim();
}

/** workerd as package.json has it where that is made for this machine, else the older one that Miniflare brings. */
function runtime() {
  const name = `workerd-${process.platform}-${process.arch === "x64" ? "64" : process.arch}`;
  const path = join(here, "node_modules/@cloudflare", name, "bin/workerd");
  return existsSync(path) ? path : (workerd.default ?? workerd);
}

/** The modules of the Worker, which names them by their paths. */
function modules() {
  const type = (path) => ({ ".js": "ESModule", ".wasm": "CompiledWasm" })[extname(path)];
  const files = readdirSync(worker, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).filter(type);
  const entry = join(worker, "entry.js");
  return [entry, ...paths.filter((path) => path !== entry)].map((path) => ({ type: type(path), path }));
}

/** Applies what is in migrations/ and was not applied yet, and keeps account of it where wrangler does. */
async function migrate(database) {
  const folder = join(here, "migrations");
  if (!existsSync(folder)) return;
  const table =
    "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, " +
    "applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";
  await database.prepare(table).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all();
  const applied = new Set(results.map(({ name }) => name));
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith(".sql") || applied.has(name)) continue;
    const text = readFileSync(join(folder, name), "utf8").replace(/--.*$/gm, "");
    const statements = text.split(";").map((statement) => statement.trim()).filter(Boolean);
    const done = database.prepare("INSERT INTO d1_migrations (name) VALUES (?1)").bind(name);
    await database.batch([...statements.map((statement) => database.prepare(statement)), done]);
  }
}

const given = Object.entries(process.env).filter(([name]) => name.startsWith("ROOKERY_"));
const bindings = { ROOKERY_HOSTNAME: `localhost:${port}`, ...Object.fromEntries(given) };
if (args["plc-url"]) bindings.ROOKERY_PLC_URL = args["plc-url"];
mkdirSync(dir, { recursive: true, mode: 0o700 });
bindings.ROOKERY_MASTER_KEY = masterKey();
const objects = [["ACCOUNT", "Account"], ["SEQUENCER", "Sequencer"]];
// Without a directory of DIDs there is one in the Worker.
if (!bindings.ROOKERY_PLC_URL) objects.push(["PLC", "Plc"]);

process.env.MINIFLARE_WORKERD_PATH = join(here, "workerd");
process.env.WORKERD = runtime();
const miniflare = new Miniflare({
  // Without Miniflare's own Worker in between, which compresses and rewrites what passes.
  unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  cf: false,
  log: new Log(LogLevel.WARN),
  modules: modules(),
  modulesRoot: worker,
  compatibilityDate: /^compatibility_date = "(.*)"$/m.exec(readFileSync(join(here, "wrangler.toml"), "utf8"))[1],
  bindings,
  durableObjects: Object.fromEntries(objects.map(([name, className]) => [name, { className, useSQLite: true }])),
  durableObjectsPersist: join(dir, "objects"),
  d1Databases: ["DIRECTORY"],
  d1Persist: join(dir, "directory"),
  r2Buckets: ["BLOBS"],
  r2Persist: join(dir, "blobs"),
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    await miniflare.dispose();
    process.exit(0);
  });
}
await miniflare.ready;
await migrate(await miniflare.getD1Database("DIRECTORY"));
console.log(`Rookery serves http://localhost:${port}; what it stores is in ${dir}`);
