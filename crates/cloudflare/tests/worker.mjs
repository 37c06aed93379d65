// Starts the Worker as `dev` does, and ends it with no chance to do anything more.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DEV = new URL("../dev", import.meta.url).pathname;

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** A Worker on an empty directory. `start` goes on with what is there, after `kill`. */
export async function newWorker({ args = [], env = {} } = {}) {
  const data = await mkdtemp(join(tmpdir(), "rookery-worker-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child;
  const start = async () => {
    child = spawn(DEV, ["--port", String(port), "--data-dir", data, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let log = "";
    await new Promise((resolve, reject) => {
      const read = (chunk) => {
        log += chunk;
        if (log.includes("Rookery serves")) resolve();
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.once("exit", () => reject(new Error(`it did not start:\n${log}`)));
    });
  };
  const kill = async () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    // The runtime goes with whoever started it, a moment later.
    while (await fetch(url).then(() => true, () => false));
  };
  const remove = async () => {
    await kill();
    await rm(data, { recursive: true, force: true });
  };
  await start();
  return { url, port, data, start, kill, remove };
}
