// The module that the runtime loads.
//
// One instance of the core serves everything in an isolate: the edge, and every object that lives there. A panic ends that
// instance, whose memory cannot be trusted any more; what SQLite was doing is rolled back by the exception that the trap is. All
// who wait for an answer of it get one here, and the next call starts an instance with nothing in memory: objects are made
// anew, from what their databases hold.

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as core from "./core.js";

/** Counts instances. */
let generation = 0;
/** Those who wait for an answer, each as a function that says there will be none. */
const waiting = new Set();

function failed() {
  generation += 1;
  for (const ended of waiting) ended();
  waiting.clear();
}

// Set by the panic hook of the `worker` crate, before the trap.
Object.defineProperty(core.__worker_init_state(), "criticalError", { set: (is) => is && failed(), get: () => false });
// Traps that are no panics: memory or stack used up.
addEventListener("error", (event) => event.error instanceof WebAssembly.RuntimeError && failed());

function internalError() {
  const message = "The server failed while it worked on this. Look at what is there before you send it again.";
  return Response.json({ error: "InternalServerError", message }, { status: 500 });
}

/** What `call` resolves to, or a 500 when the core ends before. */
async function answered(call) {
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  waiting.add(ended);
  try {
    // The answer must be made here: whoever calls `ended` may do so on behalf of another request.
    return (await Promise.race([call(), end])) ?? internalError();
  } catch (thrown) {
    if (!(thrown instanceof WebAssembly.RuntimeError)) throw thrown;
    failed();
    return internalError();
  } finally {
    waiting.delete(ended);
  }
}

/** The Durable Object around a class of the core. */
function object(Class) {
  return class extends DurableObject {
    #instance;
    #generation;

    #current() {
      if (this.#generation !== generation) {
        // What was written may not have been sent: whoever listens connects again, with a cursor.
        if (this.#instance) for (const socket of this.ctx.getWebSockets()) socket.close(1011);
        this.#generation = generation;
        this.#instance = new Class(this.ctx, this.env);
      }
      return this.#instance;
    }

    fetch(request) {
      return answered(() => this.#current().fetch(request));
    }

    async alarm() {
      const { ok } = await answered(() => this.#current().alarm());
      // The runtime rings again.
      if (!ok) throw new Error("the core ended");
    }

    webSocketMessage(socket, message) {
      return answered(() => this.#current().webSocketMessage(socket, message));
    }

    webSocketClose(socket, code, reason, clean) {
      return answered(() => this.#current().webSocketClose(socket, code, reason, clean));
    }

    webSocketError(socket, error) {
      return answered(() => this.#current().webSocketError(socket, error));
    }
  };
}

export const Account = object(core.Account);
export const Sequencer = object(core.Sequencer);
export const Plc = object(core.Plc);

export default class extends WorkerEntrypoint {
  fetch(request) {
    return answered(() => core.fetch(request, this.env));
  }
}
