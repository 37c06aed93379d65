// A Worker in a runtime of its own, which can be killed and started again on what it has stored.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const path = (relative) => new URL(relative, import.meta.url).pathname;
/** As it is built. */
export const BUILT = path("../../../target/worker");

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

export class Runtime {
  /** One that is not started, with a directory of its own. `args` and `env` are for `dev`. */
  static async create({ args = [], env = {} } = {}) {
    const runtime = new Runtime();
    Object.assign(runtime, { args, env });
    runtime.data = await mkdtemp(join(tmpdir(), "rookery-worker-"));
    runtime.port = await freePort();
    runtime.url = `http://localhost:${runtime.port}`;
    return runtime;
  }

  /** Where it stores everything. */
  get stored() {
    return join(this.data, "stored");
  }

  /** Starts a Worker on what is stored, and waits until it serves. `said` gets the lines that it logs. */
  async start(worker = BUILT, said = () => {}) {
    const options = ["--port", String(this.port), "--data-dir", this.stored, ...this.args];
    const env = { ROOKERY_LOG: "error", ...process.env, ROOKERY_RATE_LIMITS: "off", WORKER_DIR: worker, ...this.env };
    this.child = spawn(path("../dev"), options, { env, stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface(this.child.stdout);
    await new Promise((resolve, reject) => {
      this.child.once("exit", () => reject(new Error("the Worker did not start")));
      lines.on("line", (line) => (line.startsWith("Rookery serves") ? resolve() : said(line)));
    });
  }

  /** Ends it with no chance to do anything more. */
  async kill() {
    if (!this.child) return;
    const gone = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await gone;
    this.child = undefined;
    // The runtime goes with whoever started it, a moment later.
    while (await fetch(this.url).then(() => true, () => false));
  }

  async remove() {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }
}
