// Supervises one child, prints its pid when it is up, and waits to be killed.
import { fileURLToPath } from "node:url";
import { createLog, openIpcPeer, Supervisor } from "../../src/index.ts";

const supervisor = new Supervisor({ log: createLog({ level: "error", format: "json" }) });
supervisor.start({
  name: "small",
  entry: fileURLToPath(new URL("small-child.ts", import.meta.url)),
  onStart: async (child) => {
    const peer = openIpcPeer<Record<never, never>, { ping: { params: null; result: number } }>(child, {});
    process.stdout.write(`${await peer.call("ping", null)}\n`);
  },
});
