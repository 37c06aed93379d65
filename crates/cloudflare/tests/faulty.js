// The Worker, with deliveries to the Sequencer that go wrong in every way there is. Everything else is as it is.

import Worker, * as made from "./worker.js";

/** What becomes of one delivery after the other, in every object. */
const FATES = ["well", "refused", "well", "answer lost", "twice", "well", "dies before", "late", "unavailable", "well", "dies after"];
let count = 0;
/** A delivery that has come, to come again when it is old. */
let old;

function faulty(env) {
  const namespace = env.SEQUENCER;
  const sequencers = new Proxy(namespace, {
    get: (_, name) => {
      if (name === "getByName") return (...args) => stub(namespace.getByName(...args));
      const member = namespace[name];
      return typeof member === "function" && name !== "constructor" ? member.bind(namespace) : member;
    },
  });
  return new Proxy(env, { get: (_, name) => (name === "SEQUENCER" ? sequencers : env[name]) });
}

function stub(sequencer) {
  return { fetch: (...args) => deliver(sequencer, new Request(...args)) };
}

async function deliver(sequencer, request) {
  if (new URL(request.url).pathname !== "/deliver") return sequencer.fetch(request);
  const body = await request.arrayBuffer();
  const send = (bytes, fate) => sequencer.fetch(request.url, { method: "POST", body: bytes, headers: fate ? { fate } : {} });
  const fate = FATES[count++ % FATES.length];
  console.log(`fate: ${fate}`);
  switch (fate) {
    case "refused":
      throw new Error("the Sequencer cannot be reached");
    case "unavailable":
      return new Response("overloaded", { status: 503 });
    case "answer lost":
      await send(body);
      throw new Error("the connection to the Sequencer was lost");
    case "twice":
      return (await Promise.all([send(body), send(body)]))[1];
    case "late":
      if (old) await send(old);
      return send(body);
    case "dies before":
    case "dies after":
      return send(body, fate);
    default:
      old = body;
      return send(body);
  }
}

export class Account extends made.Account {
  constructor(state, env) {
    super(state, faulty(env));
  }
}

export class Sequencer extends made.Sequencer {
  async fetch(request) {
    const fate = request.headers.get("fate");
    if (fate === "dies before") this.ctx.abort("the Sequencer is gone");
    const answer = await super.fetch(request);
    if (fate === "dies after") {
      // What it has written lasts. Nobody hears of it.
      await this.ctx.storage.sync();
      this.ctx.abort("the Sequencer is gone");
    }
    return answer;
  }
}

export const Plc = made.Plc;
export default Worker;
