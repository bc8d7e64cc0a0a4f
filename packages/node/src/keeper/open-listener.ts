// Runs for a moment inside a sandbox's network namespace: opens its only listener and hands it to the keeper.
import { createServer, type Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { native, SystemCallError } from "@gatehouse/kit";
import { SANDBOX_GATE_PORT } from "../sandbox/driver.ts";

const BACKLOG = 4_096;
const LOOK_EVERY_MS = 2;

/** The handle under a listening server. Sent as it is, the receiver holds the descriptor without accepting on it. */
interface WithHandle extends Server {
  readonly _handle?: unknown;
}

process.once("uncaughtException", ({ message }) => {
  process.exitCode = 1;
  process.send?.({ failed: message }, () => process.disconnect());
});
if (native.available) await untilLoopbackIsUp();
const server: WithHandle = createServer();
server.listen({ host: "127.0.0.1", port: SANDBOX_GATE_PORT, backlog: BACKLOG }, () => {
  process.send?.({ listening: true }, server._handle as Server, {}, () => process.disconnect());
  process.once("disconnect", () => server.close());
});

/**
 * bubblewrap brings it up by itself, before it says who the users of its namespace are. Whoever enters before that is
 * nobody there and may not: it is waited for, as long as the keeper waits for us.
 */
async function untilLoopbackIsUp(): Promise<void> {
  while (process.connected) {
    try {
      native.bringLoopbackUp();
      return;
    } catch (failure) {
      if (!(failure instanceof SystemCallError && failure.code === "EPERM")) throw failure;
    }
    await delay(LOOK_EVERY_MS);
  }
  process.exit(1);
}
